/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.cpp - RAIIAF for GDAL, one source for 3.6 and later.
 *
 * GDAL's own drivers turn the embedded image into pixels and back, its virtual file systems give the bytes; the
 * container is libraiiaf's.  An image is a dataset, a latent a subdataset; both are decoded once, when the first pixel
 * is asked for.  doc/gdal.md tells users what is kept.
 */
#include "raiiaf.h"

#include <gdal_pam.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#define _(text) raiiaf_translate(text)

namespace
{
const char prefix[] = "RAIIAF:", environment_domain[] = "json:RAIIAF_ENVIRONMENT";
using Memory = std::shared_ptr<void>;
using Handle = std::shared_ptr<VSILFILE>; /* shared with a copy that is made: by then GDAL has deleted the name */

bool fail(const char *format, const char *what = "", CPLErrorNum number = CPLE_AppDefined)
{
    CPLError(CE_Failure, number, format, what);
    return false;
}

/* Tells of a failure, and whether there was none. */
bool passed(raiiaf_status status, const raiiaf_error &error)
{
    return !status || fail("%s", error.text, status == RAIIAF_ERROR_CANCELLED ? CPLE_UserInterrupt : CPLE_AppDefined);
}

bool same_form(GDALDataset *a, GDALDataset *b)
{
    return a->GetRasterXSize() == b->GetRasterXSize() && a->GetRasterYSize() == b->GetRasterYSize() &&
           a->GetRasterCount() == b->GetRasterCount() &&
           a->GetRasterBand(1)->GetRasterDataType() == b->GetRasterBand(1)->GetRasterDataType();
}

uint64_t count_of(GDALDataset *from)
{
    return static_cast<uint64_t>(from->GetRasterXSize()) * from->GetRasterYSize() * from->GetRasterCount();
}

/* Band after band. */
bool read_samples(GDALDataset *from, GDALDataType type, void *out)
{
    int width = from->GetRasterXSize(), height = from->GetRasterYSize();
    return from->RasterIO(GF_Read, 0, 0, width, height, out, width, height, type, from->GetRasterCount(), nullptr, 0, 0,
                          0, nullptr) == CE_None;
}

/* ---- datasets ---- */

struct Dataset final : GDALPamDataset {
    Handle handle;
    std::shared_ptr<raiiaf_file> file;
    size_t latent = RAIIAF_NONE; /* the chunk, where it isn't the image */
    GDALDatasetUniquePtr embedded;

    ~Dataset() override
    {
        FlushCache(true);
        embedded.reset();
        VSIUnlink(image_name);
        raiiaf_buffer_free(&image_bytes);
    }
    static GDALDataset *open(GDALOpenInfo *info);
    bool open_file(const char *name), describe_image(), describe_latent(const char *name), load();
    bool read(int band, int x, int y, int width, int height, void *out, GDALDataType type, GSpacing pixel,
              GSpacing line);
    char **GetMetadata(const char *domain = "") override;
    CPLXMLNode *SerializeToXML(const char *path) override;
    bool open_image(const std::function<bool()> &decoding = nullptr);
    /* All of it at once, straight to where it is wanted. */
    CPLErr IRasterIO(GDALRWFlag flag, int x, int y, int width, int height, void *data, int to_width, int to_height,
                     GDALDataType type, int count, int *map, GSpacing pixel, GSpacing line, GSpacing band,
                     GDALRasterIOExtraArg *extra) override
    {
        if (embedded || latent != RAIIAF_NONE || width != nRasterXSize || height != nRasterYSize || to_width != width ||
            to_height != height)
            return GDALPamDataset::IRasterIO(flag, x, y, width, height, data, to_width, to_height, type, count, map,
                                             pixel, line, band, extra);
        bool good = open_image([&] {
            return embedded->RasterIO(flag, x, y, width, height, data, to_width, to_height, type, count, map, pixel,
                                      line, band, extra) == CE_None;
        });
        return good ? CE_None : CE_Failure;
    }
    CPLString image_name;
    raiiaf_buffer image_bytes = {};
    Memory samples; /* band after band */
};

struct Band final : GDALPamRasterBand {
    Dataset *dataset;
    Band(Dataset *of, GDALDataType type) : dataset(of)
    {
        eDataType = type;
        nBlockXSize = of->GetRasterXSize();
        nBlockYSize = 1;
    }
    CPLErr IReadBlock(int, int y, void *data) override
    {
        return IRasterIO(GF_Read, 0, y, nRasterXSize, 1, data, nRasterXSize, 1, eDataType,
                         GDALGetDataTypeSizeBytes(eDataType), 0, nullptr);
    }
    /* Past GDAL's cache, which would hold everything a second time; for resampling there may be overviews. */
    CPLErr IRasterIO(GDALRWFlag flag, int x, int y, int width, int height, void *data, int to_width, int to_height,
                     GDALDataType type, GSpacing pixel, GSpacing line, GDALRasterIOExtraArg *extra) override
    {
        if (width != to_width || height != to_height)
            return GDALPamRasterBand::IRasterIO(flag, x, y, width, height, data, to_width, to_height, type, pixel, line,
                                                extra);
        return dataset->read(nBand, x, y, width, height, data, type, pixel, line) ? CE_None : CE_Failure;
    }
};

/* ---- what is told before anything is decoded ---- */

int64_t read_at(void *user, uint64_t offset, void *buffer, size_t length)
{
    VSILFILE *handle = static_cast<Handle *>(user)->get();
    return VSIFSeekL(handle, offset, SEEK_SET) ? -1 : static_cast<int64_t>(VSIFReadL(buffer, 1, length, handle));
}

bool Dataset::open_file(const char *name)
{
    raiiaf_error error;
    raiiaf_file *opened = nullptr;
    raiiaf_open_options options = {};
    options.warning = [](void *, const raiiaf_error *warning) {
        CPLError(CE_Warning, CPLE_AppDefined, "%s", warning->text);
    };
    if (!handle)
        handle.reset(VSIFOpenL(name, "rb"), [](VSILFILE *made) { return made ? VSIFCloseL(made) : 0; });
    if (!handle || VSIFSeekL(handle.get(), 0, SEEK_END))
        return fail(_("%s: can't be read"), name, CPLE_OpenFailed);
    raiiaf_source source = {new Handle(handle), name, VSIFTellL(handle.get()), read_at, nullptr, [](void *user) {
                                delete static_cast<Handle *>(user);
                            }};
    raiiaf_status status = raiiaf_open(&opened, &source, &options, &error);
    file.reset(opened, raiiaf_close);
    return passed(status, error);
}

/* GDAL's names are in capitals; toupper would ask the locale, and Turkish has another capital of i. */
std::string capitals(std::string name)
{
    for (char &c : name)
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return name;
}

/* Names that GDAL can't take, a user finds in json:RAIIAF. */
bool add_setting(void *user, const char *name, const char *value)
{
    CPLStringList &list = *static_cast<CPLStringList *>(user);
    std::string key = capitals(name);
    bool plain = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127 && c != '=' && c != ':'; });
    if (plain && !list.FetchNameValue(key.c_str()))
        list.SetNameValue(key.c_str(), value);
    return true;
}

CPLStringList describe_tensor(const raiiaf_chunk_info &info)
{
    std::string shape;
    for (unsigned i = 0; i < info.rank; i++)
        shape += (i ? "," : "") + std::to_string(info.shape[i]);
    CPLStringList list;
    list.SetNameValue("KEY", info.key);
    list.SetNameValue("SHAPE", shape.c_str());
    list.SetNameValue("SOURCE_DATA_TYPE", info.dtype == RAIIAF_FLOAT16 ? "Float16" : "Float32");
    list.SetNameValue("SHA256", info.sha256);
    list.SetNameValue("STALE", info.stale ? "YES" : nullptr);
    return list;
}

bool Dataset::describe_image()
{
    raiiaf_error error;
    raiiaf_image_info info;
    CPLStringList settings, latents;
    raiiaf_text_each(file.get(), add_setting, &settings);
    for (size_t n = 0; n < raiiaf_latent_count(file.get()); n++) {
        raiiaf_chunk_info tensor;
        raiiaf_chunk_get(file.get(), raiiaf_latent_chunk(file.get(), n), &tensor);
        CPLStringList told = describe_tensor(tensor);
        latents.AddString(
            CPLString().Printf("SUBDATASET_%zu_NAME=%s\"%s\":latent:%zu", n + 1, prefix, raiiaf_name(file.get()), n));
        latents.AddString(CPLString().Printf("SUBDATASET_%zu_DESC=[%s] %s (%s)", n + 1, told["SHAPE"], tensor.key,
                                             told["SOURCE_DATA_TYPE"]));
    }
    SetMetadata(settings.List());
    SetMetadata(latents.List(), "SUBDATASETS");
    nRasterXSize = nRasterYSize = 512; /* what GDAL's drivers say where there are only subdatasets */
    raiiaf_status status = raiiaf_image_probe(file.get(), &info, &error);
    if (info.format == RAIIAF_IMAGE_UNKNOWN)
        return status == RAIIAF_ERROR_MISSING || passed(status, error);
    /* Where not all can be told from the image's head, GDAL's driver for it tells. */
    bool told = info.depth >= 8 && !info.palette && !info.keyed &&
                (info.format == RAIIAF_IMAGE_PNG || (info.format == RAIIAF_IMAGE_JPEG && info.depth == 8));
    if (!told && !open_image())
        return false;
    nRasterXSize = told ? static_cast<int>(info.width) : embedded->GetRasterXSize();
    nRasterYSize = told ? static_cast<int>(info.height) : embedded->GetRasterYSize();
    int bands = !told ? embedded->GetRasterCount() : info.cmyk ? 3 : static_cast<int>(info.channels);
    if (!GDALCheckDatasetDimensions(nRasterXSize, nRasterYSize))
        return false;
    for (int i = 1; i <= bands; i++) {
        GDALRasterBand *band = told ? nullptr : embedded->GetRasterBand(i);
        int colour = i == bands && bands % 2 == 0 ? GCI_AlphaBand : bands < 3 ? GCI_GrayIndex : GCI_RedBand + i - 1;
        Band *made = new Band(this, band ? band->GetRasterDataType() : info.depth > 8 ? GDT_UInt16 : GDT_Byte);
        SetBand(i, made);
        made->SetColorInterpretation(static_cast<GDALColorInterp>(colour));
        if (band && made->CloneInfo(band, GCIF_NODATA | GCIF_COLORTABLE | GCIF_COLORINTERP) == CE_None)
            made->SetMetadata(band->GetMetadata("IMAGE_STRUCTURE"), "IMAGE_STRUCTURE");
    }
    SetMetadataItem("NODATA_VALUES", told ? nullptr : embedded->GetMetadataItem("NODATA_VALUES"));
    return true;
}

bool Dataset::describe_latent(const char *name)
{
    raiiaf_chunk_info info;
    latent = raiiaf_latent_find(file.get(), name);
    if (latent == RAIIAF_NONE)
        return fail(_("there is no latent '%s'; gdalinfo lists those of a file"), name);
    raiiaf_chunk_get(file.get(), latent, &info);
    unsigned before = std::max(info.rank, 2u) - 2;
    int bands = 1; /* no more than elements, which are limited */
    for (unsigned axis = 0; axis < before; axis++)
        bands *= static_cast<int>(info.shape[axis]);
    nRasterXSize = static_cast<int>(info.shape[info.rank - 1]);
    nRasterYSize = info.rank > 1 ? static_cast<int>(info.shape[info.rank - 2]) : 1;
    if (!GDALCheckDatasetDimensions(nRasterXSize, nRasterYSize) || !GDALCheckBandCount(bands, FALSE))
        return false;
    const char *axes = before == 2 ? "nc" : before == 1 ? "c" : "abcdef";
    for (int i = 0; i < bands; i++) {
        std::string place;
        for (unsigned axis = before, rest = static_cast<unsigned>(i); axis-- > 0; rest /= info.shape[axis])
            place = axes[axis] + std::to_string(rest % info.shape[axis]) + (place.empty() ? "" : " ") + place;
        SetBand(i + 1, new Band(this, GDT_Float32));
        papoBands[i]->SetDescription(place.c_str());
    }
    return SetMetadata(describe_tensor(info).List()) == CE_None;
}

int identify(GDALOpenInfo *info)
{
    return STARTS_WITH_CI(info->pszFilename, prefix) ||
           raiiaf_is_magic(info->pabyHeader, static_cast<size_t>(info->nHeaderBytes));
}

/* RAIIAF:"FILE":latent:N, or a file's name. */
GDALDataset *Dataset::open(GDALOpenInfo *info)
{
    const char *text;
    size_t size;
    if (!identify(info) || (info->eAccess == GA_Update &&
                            !fail(_("%s: can only be read; CreateCopy makes changed files"), info->pszFilename)))
        return nullptr;
    bool named = STARTS_WITH_CI(info->pszFilename, prefix);
    CPLStringList parts(CSLTokenizeString2(info->pszFilename, ":", CSLT_HONOURSTRINGS));
    bool whole = !named || parts.size() != 4 || !EQUAL(parts[2], "latent");
    CPLString path = whole ? info->pszFilename : parts[1], part = whole ? "" : parts[3];
    std::unique_ptr<Dataset> dataset(new Dataset);
    if (!named && info->fpL)
        dataset->handle.reset(std::exchange(info->fpL, nullptr), VSIFCloseL);
    if (!dataset->open_file(path) || !(part.empty() ? dataset->describe_image() : dataset->describe_latent(part)))
        return nullptr;
    raiiaf_manifest_text(dataset->file.get(), &text, &size);
    dataset->SetMetadata(CPLStringList().AddString(std::string(text, size).c_str()).List(), "json:RAIIAF");
    if (raiiaf_environment_chunk(dataset->file.get()) != RAIIAF_NONE)
        dataset->SetMetadata(CPLStringList().AddString("").List(), environment_domain);
    dataset->SetDescription(info->pszFilename);
    dataset->SetPhysicalFilename(path);
    dataset->SetSubdatasetName(part);
    dataset->nPamFlags &= ~GPF_DIRTY;
    dataset->TryLoadXML(named ? nullptr : info->GetSiblingFiles());
    dataset->oOvManager.Initialize(dataset.get(), path, named ? nullptr : info->GetSiblingFiles());
    return dataset.release();
}

/* The environment is read when it is asked for: it has a place of its own in the file. */
char **Dataset::GetMetadata(const char *domain)
{
    raiiaf_error error;
    raiiaf_buffer json = {};
    char **list = GDALPamDataset::GetMetadata(domain);
    if (!list || !domain || !EQUAL(domain, environment_domain) || **list)
        return list;
    if (passed(raiiaf_chunk_read(file.get(), raiiaf_environment_chunk(file.get()), 0, &json, &error), error))
        GDALDataset::SetMetadata(CPLStringList().AddString(reinterpret_cast<const char *>(json.data)).List(), domain);
    raiiaf_buffer_free(&json);
    return GDALPamDataset::GetMetadata(domain);
}

/* What the file says itself isn't said again beside it, where it would outlive a change and publish a prompt. */
CPLXMLNode *Dataset::SerializeToXML(const char *path)
{
    CPLXMLNode *tree = GDALPamDataset::SerializeToXML(path), *node;
    while (tree && (node = CPLGetXMLNode(tree, "Metadata"))) {
        CPLRemoveXMLChild(tree, node);
        CPLDestroyXMLNode(node);
    }
    return tree;
}

/* ---- pixels ---- */

/* Lets GDAL's driver open the embedded image, and decode it if that is wanted, while another thread verifies it. */
bool Dataset::open_image(const std::function<bool()> &decoding)
{
    static const char *const drivers[] = {"PNG", "JPEG", "WEBP", "BMP", nullptr}, *const siblings[] = {nullptr};
    raiiaf_error error;
    raiiaf_check *check;
    if (embedded || !passed(raiiaf_check_begin(&check, file.get(), nullptr, &image_bytes, &error), error))
        return embedded != nullptr;
    image_name = CPLSPrintf("/vsimem/raiiaf_%p", static_cast<void *>(this));
    VSIFCloseL(VSIFileFromMemBuffer(image_name, const_cast<GByte *>(image_bytes.data), image_bytes.size, FALSE));
    CPLPushErrorHandler(CPLQuietErrorHandler);
    embedded.reset(Open(image_name, GDAL_OF_RASTER | GDAL_OF_INTERNAL, drivers, nullptr, siblings));
    CPLPopErrorHandler();
    bool good = (embedded || fail(_("GDAL can't read the image; raiiaf extract --image hands it out"))) &&
                (!decoding ||
                 ((same_form(this, embedded.get()) || fail(_("the image isn't what its head says"))) && decoding()));
    if (passed(raiiaf_check_end(check, &error), error) && good)
        return true;
    samples.reset();
    embedded.reset();
    VSIUnlink(image_name);
    raiiaf_buffer_free(&image_bytes);
    return false;
}

/* Decodes the image, or the latent, as a whole. */
bool Dataset::load()
{
    raiiaf_error error;
    raiiaf_chunk_info info;
    raiiaf_buffer tensor = {};
    bool is_image = latent == RAIIAF_NONE;
    GDALDataType type = papoBands[0]->GetRasterDataType();
    uint64_t count = count_of(this), size = count * GDALGetDataTypeSizeBytes(type);
    if ((size > RAIIAF_LIMIT_MEMORY && !fail(_("decoded, the image takes more memory than the limit of 6 GiB"))) ||
        (is_image ? !open_image() : !passed(raiiaf_chunk_read(file.get(), latent, 0, &tensor, &error), error)))
        return false;
    Memory data(VSI_MALLOC_VERBOSE(size), VSIFree);
    bool good = data && (!is_image || read_samples(embedded.get(), type, data.get()));
    if (good && !is_image) {
        raiiaf_chunk_get(file.get(), latent, &info);
        raiiaf_latent_widen(tensor.data, count, info.dtype, static_cast<float *>(data.get()));
    }
    raiiaf_buffer_free(&tensor);
    return (samples = good ? data : nullptr) != nullptr;
}

bool Dataset::read(int band, int x, int y, int width, int height, void *out, GDALDataType to, GSpacing pixel,
                   GSpacing line)
{
    GDALDataType type = papoBands[0]->GetRasterDataType();
    size_t size = GDALGetDataTypeSizeBytes(type), plane = static_cast<size_t>(nRasterXSize) * nRasterYSize * size;
    if (!samples && !load())
        return false;
    const GByte *from = static_cast<GByte *>(samples.get()) + plane * (band - 1) + size * x;
    for (int row = 0; row < height; row++)
        GDALCopyWords(from + size * nRasterXSize * (y + row), type, static_cast<int>(size),
                      static_cast<GByte *>(out) + row * line, to, static_cast<int>(pixel), width);
    return true;
}

/* ---- copies ---- */

bool same_picture(GDALDataset *a, GDALDataset *b)
{
    if (!same_form(a, b))
        return false;
    GDALDataType type = a->GetRasterBand(1)->GetRasterDataType();
    GDALColorTable *table = a->GetRasterBand(1)->GetColorTable(), *other = b->GetRasterBand(1)->GetColorTable();
    std::vector<GByte> of_a(count_of(a) * GDALGetDataTypeSizeBytes(type)), of_b = of_a;
    return !table == !other && (!table || table->IsSame(other)) && read_samples(a, type, of_a.data()) &&
           read_samples(b, type, of_b.data()) && of_a == of_b;
}

Memory read_all(const char *name, vsi_l_offset *size)
{
    GByte *data = nullptr;
    bool good = VSIIngestFile(nullptr, name, &data, size, static_cast<GIntBig>(RAIIAF_LIMIT_STREAM_SIZE)) != 0;
    return Memory(good ? data : nullptr, VSIFree);
}

/* Opens in `known` the one file that tells more of the source than its pixels: a .raiiaf file, or the image of another
   tool.  Of several, none speaks for the whole. */
bool find_known(GDALDataset *source, Dataset *known)
{
    vsi_l_offset size = 0;
    VSIStatBufL status;
    raiiaf_error error;
    raiiaf_file *file = nullptr;
    raiiaf_import_options import = {};
    CPLStringList found, names(source->GetFileList());
    for (int i = 0; i < names.size(); i++)
        if (GDALDriverH driver = STARTS_WITH_CI(names[i], prefix) ? nullptr : GDALIdentifyDriver(names[i], nullptr))
            if (strstr("RAIIAF PNG JPEG WEBP", GDALGetDescription(driver)))
                found.AddNameValue(GDALGetDescription(driver), names[i]);
    const char *ours = found.FetchNameValue("RAIIAF"), *name = found.size() == 1 ? strchr(found[0], '=') + 1 : "";
    if (found.size() == 1 && ours)
        return known->open_file(ours) && known->describe_image();
    Memory image = found.size() == 1 ? read_all(name, &size) : nullptr;
    import.file_name = name;
    import.modified = VSIStatL(name, &status) == 0 ? static_cast<int64_t>(status.st_mtime) : -1;
    bool good = passed(image ? raiiaf_import(&file, image.get(), size, &import, nullptr, &error)
                             : raiiaf_new(&file, nullptr, &error),
                       error);
    known->file.reset(file, raiiaf_close);
    return good && known->describe_image();
}

/* A new PNG by GDAL's own driver. */
bool encode(raiiaf_file *file, GDALDataset *source, int strict, GDALProgressFunc progress, void *user)
{
    raiiaf_error error;
    vsi_l_offset size = 0;
    CPLString folder = CPLSPrintf("/vsimem/raiiaf_%p", static_cast<void *>(file)), name = folder + "/image.png";
    GDALDriver *driver = GetGDALDriverManager()->GetDriverByName("PNG");
    GDALDatasetUniquePtr made(driver ? driver->CreateCopy(name, source, strict, nullptr, progress, user) : nullptr);
    bool good = made != nullptr;
    made.reset();
    const GByte *png = good ? VSIGetMemFileBuffer(name, &size, FALSE) : nullptr;
    good = good && passed(raiiaf_image_set(file, png, static_cast<size_t>(size), nullptr, &error), error);
    VSIRmdirRecursive(folder);
    return good;
}

/* [KEY=]FILE: an .npy file, or a raster, whose bands are channels unless it tells the shape that it had as a latent. */
bool add_latent(raiiaf_file *file, const char *option)
{
    vsi_l_offset size = 0;
    size_t length = strcspn(option, "=/:\"");
    unsigned rank, first = 1;
    raiiaf_error error;
    raiiaf_dtype type = RAIIAF_FLOAT32;
    uint32_t shape[RAIIAF_MAX_RANK];
    const char *path = option + (option[length] == '=' ? length + 1 : 0);
    std::string key = option[length] == '=' ? std::string(option, length) : CPLGetBasename(path);
    if (EQUAL(CPLGetExtension(path), "npy")) {
        raiiaf_buffer tensor = {};
        Memory npy = read_all(path, &size);
        bool good =
            npy && passed(raiiaf_npy_read(npy.get(), size, path, &type, &rank, shape, &tensor, &error), error) &&
            passed(raiiaf_latent_add(file, key.c_str(), shape, rank, type, tensor.data, tensor.size, &error), error);
        raiiaf_buffer_free(&tensor);
        return good;
    }
    GDALDatasetUniquePtr from(GDALDataset::Open(path, GDAL_OF_RASTER | GDAL_OF_VERBOSE_ERROR));
    std::vector<float> values(from ? count_of(from.get()) : 0), data = values;
    if (!from || !read_samples(from.get(), GDT_Float32, values.data()))
        return false;
    CPLStringList told(CSLDuplicate(from->GetMetadata()));
    type = EQUAL(told.FetchNameValueDef("SOURCE_DATA_TYPE", ""), "Float16") ? RAIIAF_FLOAT16 : type;
    if (sscanf(told.FetchNameValueDef("SHAPE", ""), "%u,", &first) != 1 || !first || from->GetRasterCount() % first)
        first = 1;
    key = option[length] == '=' ? key : told.FetchNameValueDef("KEY", key.c_str());
    auto of = static_cast<uint32_t>(from->GetRasterCount()), height = static_cast<uint32_t>(from->GetRasterYSize());
    const uint32_t axes[] = {first, of / first, height, static_cast<uint32_t>(from->GetRasterXSize())};
    size = values.size() * (type == RAIIAF_FLOAT16 ? 2 : 4);
    raiiaf_latent_narrow(values.data(), values.size(), type, data.data());
    return passed(raiiaf_latent_add(file, key.c_str(), axes, 4, type, data.data(), size, &error), error);
}

const char *const settings[][2] = {
    {"prompt", "PROMPT"}, {"model_name", "MODEL"}, {"seed", "SEED"}, {"steps", "STEPS"}, {"sampler", "SAMPLER"}};

/* METADATA, or what the source says in the words that we show; the other options are stronger. */
bool describe(raiiaf_file *file, GDALDataset *source, CSLConstList options)
{
    vsi_l_offset size = 0;
    raiiaf_error error;
    const char *path = CSLFetchNameValue(options, "METADATA");
    Memory json = path ? read_all(path, &size) : nullptr;
    if (path && (!json || raiiaf_merge(file, static_cast<char *>(json.get()), size, &error)))
        return json && fail("%s", CPLSPrintf("%s: %s", path, error.text));
    for (auto &name : settings) {
        const char *option = CSLFetchNameValue(options, name[1]);
        const char *said = option || path ? nullptr : source->GetMetadataItem(capitals(name[0]).c_str());
        if (option && !passed(raiiaf_set_text(file, name[0], option, &error), error))
            return false;
        if (said && raiiaf_text_apply(file, file, name[0], said, 0, &error) != RAIIAF_OK)
            CPLError(CE_Warning, CPLE_AppDefined, "%s", error.text);
    }
    for (int i = 0; options && options[i]; i++)
        if (STARTS_WITH_CI(options[i], "LATENT=") && !add_latent(file, options[i] + strlen("LATENT=")))
            return false;
    return true;
}

/* All of it is there before the first byte goes out; a file of this system is replaced whole or not at all. */
bool save(const raiiaf_file *file, const char *name, CSLConstList options, void *progress)
{
    raiiaf_error error;
    raiiaf_buffer bytes = {};
    raiiaf_save_options how = {};
    std::string tool = std::string("GDAL ") + GDALVersionInfo("RELEASE_NAME");
    how.tool = tool.c_str();
    how.float16 = CPLFetchBool(options, "FLOAT16", false);
    how.progress = [](void *user, uint64_t done, uint64_t total) {
        return GDALScaledProgress(total ? static_cast<double>(done) / static_cast<double>(total) : 0, "", user) != 0;
    };
    how.progress_user = progress;
    if (!STARTS_WITH(name, "/vsi"))
        return passed(raiiaf_save_path(file, name, &how, &error), error);
    if (!passed(raiiaf_save_memory(file, &bytes, &how, &error), error))
        return false;
    VSILFILE *out = VSIFOpenL(name, "wb");
    bool good = out && VSIFWriteL(bytes.data, 1, bytes.size, out) == bytes.size;
    good = out && VSIFCloseL(out) == 0 && good;
    raiiaf_buffer_free(&bytes);
    if (!good && !fail(_("%s: can't be written"), name, CPLE_FileIO))
        VSIUnlink(name);
    return good;
}

GDALDataset *create_copy(const char *name, GDALDataset *source, int strict, char **options, GDALProgressFunc progress,
                         void *user)
{
    bool stopped = false; /* what fails by it hides it behind errors of its own */
    std::function<int(double)> ask = [&](double done) { return !(stopped = stopped || !progress(done, "", user)); };
    GDALProgressFunc step = [](double done, const char *, void *asking) {
        return (*static_cast<std::function<int(double)> *>(asking))(done);
    };
    Dataset known, *ours = dynamic_cast<Dataset *>(source);
    int bands = source->GetRasterCount();
    GDALDataType type = bands ? source->GetRasterBand(1)->GetRasterDataType() : GDT_Unknown;
    bool same = ours && ours->latent == RAIIAF_NONE;
    bool good = ask(0) != 0;
    if (good && !same && (bands < 1 || bands > 4 || (type != GDT_Byte && type != GDT_UInt16)))
        good = fail(_("RAIIAF takes 1 to 4 bands of Byte or UInt16, not %s; -co LATENT=FILE adds a latent"),
                    CPLSPrintf("%d × %s", bands, GDALGetDataTypeName(type)), CPLE_NotSupported);
    known.handle = same ? ours->handle : nullptr;
    good = good && (same ? known.open_file(raiiaf_name(ours->file.get())) : find_known(source, &known));
    raiiaf_file *file = known.file.get();
    if (good && same)
        raiiaf_image_warn(file);
    same = same || (good && known.GetRasterCount() && same_picture(source, &known));
    void *part = GDALCreateScaledProgress(0, same ? 0.01 : 0.8, step, &ask),
         *rest = GDALCreateScaledProgress(same ? 0.01 : 0.8, 1, step, &ask);
    good = good && (same || encode(file, source, strict, GDALScaledProgress, part)) &&
           describe(file, source, options) && save(file, name, options, rest);
    GDALDestroyScaledProgress(part);
    GDALDestroyScaledProgress(rest);
    if (!good && (!stopped || !fail(_("%s: stopped by the user"), name, CPLE_UserInterrupt)))
        return nullptr;
    progress(1, "", user);
    GDALOpenInfo info(name, GA_ReadOnly);
    GDALDataset *made = STARTS_WITH(name, "/vsistdout") ? new Dataset : Dataset::open(&info);
    if (made)
        static_cast<Dataset *>(made)->CloneInfo(source, GCIF_PAM_DEFAULT & ~GCIF_METADATA);
    return made;
}

} // namespace

extern "C" CPL_DLL void GDALRegister_RAIIAF()
{
    if (!GDAL_CHECK_VERSION("RAIIAF") || GDALGetDriverByName("RAIIAF"))
        return;
    CPLStringList escaped;
    auto told = [&](const char *text) {
        return escaped.AddStringDirectly(CPLEscapeString(text, -1, CPLES_XML))[escaped.size() - 1];
    };
    CPLString list = CPLSPrintf("<CreationOptionList><Option name='METADATA' type='string' description=\"%s\"/>"
                                "<Option name='LATENT' type='string' description=\"%s\"/>"
                                "<Option name='FLOAT16' type='boolean' description=\"%s\"/>",
                                told(_("a manifest, in JSON")), told(_("[KEY=]FILE, a raster or .npy; repeatable")),
                                told(_("store latents as float16, which is lossy")));
    for (auto &name : settings)
        list += CPLSPrintf("<Option name='%s' type='string'/>", name[1]);
    GDALDriver *driver = new GDALDriver;
    driver->SetDescription("RAIIAF");
    for (auto &name : {GDAL_DCAP_RASTER, GDAL_DCAP_VIRTUALIO, GDAL_DMD_SUBDATASETS})
        driver->SetMetadataItem(name, "YES");
    driver->SetMetadataItem(GDAL_DMD_LONGNAME, "Rich AI Image Artifact Format");
    driver->SetMetadataItem(GDAL_DMD_EXTENSIONS, "raiiaf gen5");
    driver->SetMetadataItem(GDAL_DMD_CREATIONDATATYPES, "Byte UInt16");
    driver->SetMetadataItem(GDAL_DMD_CREATIONOPTIONLIST, (list + "</CreationOptionList>").c_str());
    driver->pfnIdentify = identify;
    driver->pfnOpen = Dataset::open;
    driver->pfnCreateCopy = create_copy;
    GetGDALDriverManager()->RegisterDriver(driver);
}
