// SPDX-License-Identifier: MIT
//
// test_dialects.cc - what makes each dialect hard to read, one by one: texts as the tools write them, and what must
// come of them.
#include "scan.h"

#include <map>

namespace
{

using test::Options;
using test::png_with;
using test::Scan;
using test::text_chunk;
using namespace std::string_literals;

using Told = std::map<std::string, std::string>;

// Every field that `wanted` names is as it says; "" means that it isn't known.
void expect(const Scan &scan, const Told &wanted, const std::string &of)
{
    for (const auto &[name, value] : wanted)
        EXPECT_EQ(value, name == "dialect" ? scan.dialect() : scan[name.c_str()]) << name << " of " << of;
}

void expect_png(const std::string &keyword, const std::string &text, const Told &wanted)
{
    expect(Scan(png_with(text_chunk(keyword, text))), wanted, text);
}

void expect_beside(const std::string &image, const std::string &companion, const std::string &text, const Told &wanted)
{
    test::Scratch folder;
    test::spill(folder / companion, text);
    Options options(folder / image);
    std::string plain = png_with("");
    expect(Scan(plain, &options), wanted, text);
}

// ---- InvokeAI ----

TEST(DialectOf, InvokeAiIsACommand)
{
    const std::pair<const char *, Told> commands[] = {
        {R"("a cat" -s50 -W512 -H704 -C7.5 -Ak_lms -S1950357039)",
         {{"prompt", "a cat"},
          {"steps", "50"},
          {"width", "512"},
          {"height", "704"},
          {"cfg_scale", "7.5"},
          {"sampler", "k_lms"},
          {"seed", "1950357039"}}},
        {R"(a "quoted" cat - with a dash, -not a switch -s 30 -S 42 --hires_fix)",
         {{"prompt", "a \"quoted\" cat - with a dash, -not a switch"},
          {"steps", "30"},
          {"seed", "42"},
          {"hires_fix", "true"}}},
        {R"("say "hi", twice" -s 10 -S 18446744073709551615 -U 2 0.75 -G 0.8 -ft gfpgan)",
         {{"prompt", "say \"hi\", twice"},
          {"seed", "18446744073709551615"},
          {"upscale", "2 0.75"},
          {"facetool", "gfpgan"}}},
        {R"(a cat [ugly] and [blurry, dark] a dog -s 10 -S 1 -I in/put.png -f 0.5 --seed=7)",
         {{"negative_prompt", "ugly, blurry, dark"}, {"seed", "1"}, {"init_img", "in/put.png"}, {"strength", "0.5"}}},
        {R"(steps -s 5 are nothing here)", {{"prompt", "steps -s 5 are nothing here"}, {"steps", ""}}},
        {R"(a cat -s 20 -S 3 -V 123:0.1,456:0.2 --perlin 0.1 --threshold 2)",
         {{"prompt", "a cat"}, {"variations", "123:0.1,456:0.2"}, {"perlin", "0.1"}, {"threshold", "2"}}},
        {R"(a cat -s 20 -S 3 --embiggen 2 0.5 0.25 -A ddim)",
         {{"prompt", "a cat"}, {"embiggen", "2 0.5 0.25"}, {"sampler", "ddim"}}},
        {"just a prompt", {{"prompt", "just a prompt"}, {"seed", ""}}},
    };
    for (const auto &[command, wanted] : commands)
        expect_png("Dream", command, wanted);
}

TEST(DialectOf, InvokeAiIsMetadataOrAGraph)
{
    expect_png(
        "sd-metadata",
        R"({"model_id": "m", "app_version": "2.1", "images": [{"prompt": "a [b] c", "seed": 5, "steps": 6, "sampler": "ddim"}]})",
        {{"dialect", "invokeai-sdmetadata"},
         {"prompt", "a  c"},
         {"negative_prompt", "b"},
         {"seed", "5"},
         {"model_name", "m"}});
    expect_png(
        "invokeai_metadata",
        R"({"positive_prompt": "p", "negative_prompt": null, "seed": 1, "steps": 2, "scheduler": "euler", "guidance": 3.5, "model": {"name": "flux", "hash": "blake3:0"}})",
        {{"dialect", "invokeai-v3"},
         {"prompt", "p"},
         {"negative_prompt", ""},
         {"guidance", "3.5"},
         {"sampler", "euler"},
         {"model_name", "flux"}});
    expect_png(
        "invokeai_graph",
        R"({"nodes": {"c:1": {"id": "c:1", "type": "core_metadata", "steps": 9}, "s:1": {"id": "s:1", "type": "integer", "value": 77}, "p:1": {"id": "p:1", "type": "string", "value": "by an edge"}},
                   "edges": [{"source": {"node_id": "s:1", "field": "value"}, "destination": {"node_id": "c:1", "field": "seed"}},
                             {"source": {"node_id": "p:1", "field": "value"}, "destination": {"node_id": "c:1", "field": "positive_prompt"}}]})",
        {{"dialect", "invokeai-v3"}, {"prompt", "by an edge"}, {"seed", "77"}, {"steps", "9"}});
    expect_png("invokeai_graph",
               R"({"nodes": {"metadata_accumulator": {"type": "metadata_accumulator", "positive_prompt": "p", "seed": 3,
                   "model": {"model_name": "m", "base_model": "sdxl"}}}, "edges": []})",
               {{"dialect", "invokeai-v3"}, {"prompt", "p"}, {"seed", "3"}, {"model_name", "m"}});
}

// ---- Midjourney ----

TEST(DialectOf, MidjourneyIsACommand)
{
    const std::string job = " Job ID: a7421d2f-b262-44f9-977c-ac23e9c7d3e3";
    expect_png("Description", "a cat --ar 2:1 --no people, text --niji 5 --tile" + job,
               {{"dialect", "midjourney"},
                {"prompt", "a cat"},
                {"negative_prompt", "people, text"},
                {"ar", "2:1"},
                {"model_name", "Midjourney niji 5"},
                {"tile", "true"},
                {"steps", ""},
                {"job_id", job.substr(9)}});
    expect_png("Description",
               "a cat --5 lives \xE2\x80\x94"
               "ar 3:2 --seed 99" +
                   job,
               {{"prompt", "a cat --5 lives"}, {"ar", "3:2"}, {"seed", "99"}, {"model_name", "Midjourney"}});
    expect_png("Description", "no job", {{"dialect", "none"}});
}

// ---- files beside ----

TEST(DialectOf, SygilIsYaml)
{
    expect_beside("x.png", "x.yaml",
                  "target: txt2img\nprompt: 'it''s a cat,\n  folded, ### no dog'\nseed: '1234'\nddim_steps: 50\n"
                  "sampler_name: \"k_\\x6cms\"\ncfg_scale: 7.5\nmodel_name: Stable Diffusion v1.5\nempty: ''\n",
                  {{"dialect", "sygil"},
                   {"prompt", "it's a cat, folded"},
                   {"negative_prompt", " no dog"},
                   {"seed", "1234"},
                   {"steps", "50"},
                   {"sampler", "k_lms"},
                   {"cfg_scale", "7.5"},
                   {"model_name", "Stable Diffusion v1.5"}});
    expect_beside("x.png", "x.yaml", "prompt: \"caf\\xE9 \\U0001F98A\\\n  \\ joined\"\nsampler_name: ddim\nsteps: 3\n",
                  {{"prompt", "café 🦊 joined"}, {"sampler", "ddim"}, {"steps", "3"}});
}

TEST(DialectOf, EasyDiffusionIsLines)
{
    expect_beside(
        "x.png", "x.txt",
        "Prompt: a cat: sitting\r\nand a dog\r\nSeed: 42\r\nStable Diffusion model: C:\\models\\sd-v1-5.ckpt\r\n"
        "Clip Skip: False\r\nVAE model: None\r\nSampler: euler_a\r\nWidth: 512\r\nHeight: 640\r\nSteps: 25\r\n"
        "Guidance Scale: 7.5\r\nNegative Prompt: blur\r\n",
        {{"dialect", "easydiffusion"},
         {"prompt", "a cat: sitting\nand a dog"},
         {"negative_prompt", "blur"},
         {"seed", "42"},
         {"model_name", "sd-v1-5.ckpt"},
         {"sampler", "euler_a"},
         {"width", "512"},
         {"height", "640"},
         {"steps", "25"},
         {"cfg_scale", "7.5"},
         {"VAE model", ""},
         {"Clip Skip", "False"}});
}

TEST(DialectOf, EasyDiffusionHasTwoNamesForASetting)
{
    const Told wanted = {{"dialect", "easydiffusion"},
                         {"prompt", "a cat\nnote: two lines"},
                         {"seed", "42"},
                         {"steps", "25"},
                         {"clip_skip", "False"},
                         {"model_name", "sd-v1-5"}};
    expect_beside("x.png", "x.txt",
                  "prompt: a cat\nnote: two lines\nseed: 42\nuse_stable_diffusion_model: /models/sd-v1-5\n"
                  "num_inference_steps: 25\nclip_skip: False\nuse_vae_model: None\n",
                  wanted);
    expect_png("parameters",
               R"({"prompt": "a cat\nnote: two lines", "seed": 42, "use_stable_diffusion_model": "C:\\x\\sd-v1-5",
                   "num_inference_steps": 25, "clip_skip": "False", "use_vae_model": null})",
               wanted);
    expect_png("Comment", R"({"Prompt": "p", "Seed": 4, "Stable Diffusion model": "m"})",
               {{"dialect", "easydiffusion"}, {"prompt", "p"}, {"seed", "4"}, {"model_name", "m"}});
}

TEST(DialectOf, SygilIsAlsoJson)
{
    for (const char *form :
         {R"({"%sprompt": "a ### b", "%sseed": "3", "%sddim_steps": "5", "%ssampler_name": "k_lms"})",
          R"({"%sprompt": "a ### b", "%sseed": 3, "%ssteps": 5, "%scfg_scale": 7, "%ssampler_name": "k_lms"})"})
        for (const char *prefix : {"", "SD:"}) {
            std::string json = form;
            for (size_t at; (at = json.find("%s")) != std::string::npos;)
                json.replace(at, 2, prefix);
            const std::string tiff = "MM\0*\0\0\0\10\0\1\x92\x86\0\7"s +
                                     test::be32(static_cast<uint32_t>(json.size() + 8)) + test::be32(26) +
                                     test::be32(0) + "ASCII\0\0\0"s + json;
            expect(Scan(png_with(test::png_chunk("eXIf", tiff))),
                   {{"dialect", "sygil"},
                    {"prompt", "a"},
                    {"negative_prompt", " b"},
                    {"seed", "3"},
                    {"steps", "5"},
                    {"sampler", "k_lms"}},
                   json);
        }
}

TEST(DialectOf, DiscoDiffusionIsABatch)
{
    const std::string animation = R"({"text_prompts": {"0": ["first"], "50": ["second:2", "not:-1"]}, "max_frames": 100,
        "seed": "random_seed", "steps": 250, "eta": 0.8, "clip_guidance_scale": 5000, "width": 8, "height": 8})";
    expect_beside(
        "a(3)_0049.png", "a(3)_settings.txt", animation,
        {{"dialect", "disco-diffusion"}, {"prompt", "first"}, {"seed", ""}, {"cfg_scale", ""}, {"guidance", "5000"}});
    expect_beside("a(3)_0050.png", "a(3)_settings.txt", animation, {{"prompt", "second:2\nnot:-1"}});
    expect_beside("a(3)_0050.png", "a(4)_settings.txt", animation, {{"dialect", "none"}});
}

TEST(DialectOf, PyttiIsARun)
{
    expect_beside("run_12.png", "run_settings.txt",
                  "{\"scenes\": \"a || b\", \"seed\": -5, \"steps_per_scene\": 10}\n\n0.00: x",
                  {{"dialect", "pytti"}, {"prompt", "a  ||  b"}, {"seed", ""}, {"seed_raw", "-5"}, {"steps", "10"}});
}

// ---- others ----

TEST(DialectOf, MochiIsCutFromTheEnd)
{
    expect_png(
        "Description",
        "Include in Image: a; Steps: 3; Seed: 4; b; Exclude from Image: ; Model: m; Steps: 25; Guidance Scale: 11.0; "
        "Seed: 7; Size: 512x768; Scheduler: PNDM; ML Compute Unit: All; Generator: Mochi Diffusion 3.2",
        {{"dialect", "mochi"},
         {"prompt", "a; Steps: 3; Seed: 4; b"},
         {"negative_prompt", ""},
         {"steps", "25"},
         {"seed", "7"},
         {"height", "768"},
         {"sampler", "PNDM"},
         {"model_name", "m"}});
}

TEST(DialectOf, DrawThingsIsAlsoADescription)
{
    expect_png("XML:com.adobe.xmp",
               "<x xmlns:q='http://ns.adobe.com/xap/1.0/' q:CreatorTool='Draw Things' "
               "xmlns:d='http://purl.org/dc/elements/1.1/'>"
               "<d:description>a cat\n-a dog\nSteps: 20, Sampler: DPM++ 2M, Guidance Scale: 7.5, Seed: 3, Size: 64x32, "
               "Model: sd.ckpt</d:description></x>",
               {{"dialect", "drawthings"},
                {"prompt", "a cat"},
                {"negative_prompt", "a dog"},
                {"steps", "20"},
                {"cfg_scale", "7.5"},
                {"seed", "3"},
                {"width", "64"},
                {"model_name", "sd.ckpt"}});
}

TEST(DialectOf, FooocusHasTwoSchemesAndOldNames)
{
    expect_png(
        "parameters",
        R"x({"Prompt": "p", "Negative Prompt": "n", "Base Model": "m.safetensors", "Performance": "Speed", "Resolution": "(896, 1152)",
                   "Guidance Scale": 4, "Sampler": "dpmpp_2m_sde_gpu", "Scheduler": "karras", "Seed": 12, "Version": "Fooocus v2.1.865"})x",
        {{"dialect", "fooocus"},
         {"prompt", "p"},
         {"model_name", "m.safetensors"},
         {"width", "896"},
         {"seed", "12"},
         {"cfg_scale", "4"}});
    expect_png("parameters",
               "p\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 5, Size: 8x8, CFG scale: 4, Version: Fooocus v2.5.5",
               {{"dialect", "fooocus"}, {"prompt", "p"}, {"steps", "30"}});
}

// What names the tool may be in another tag than the settings, or nowhere.
TEST(DialectOf, FooocusIsJsonOfItsOwnNames)
{
    const std::string settings = R"x({"prompt": "p", "negative_prompt": "", "base_model": "m", "guidance_scale": 4,
        "resolution": "(896, 1152)", "seed": "18446744073709551615"})x";
    const Told wanted = {{"dialect", "fooocus"},
                         {"prompt", "p"},
                         {"negative_prompt", ""},
                         {"height", "1152"},
                         {"seed", "18446744073709551615"}};
    expect_png("parameters", settings, wanted);
    expect(Scan(png_with(text_chunk("parameters", settings.substr(0, settings.find(", \"guidance")) + "}") +
                         text_chunk("Software", "Fooocus v2.5.5"))),
           {{"dialect", "fooocus"}, {"prompt", "p"}, {"model_name", "m"}}, "named beside it");
    expect_png("Comment",
               R"({"prompt": "p", "real_prompt": ["p, x"], "base_model": "m", "cfg": 7, "guidance_scale": 1})",
               {{"dialect", "fooocus-mre"}, {"cfg_scale", "7"}});
}

TEST(DialectOf, SpacesHaveAResolution)
{
    for (const char *size : {"832 x 1216", "832x1216", "832   x   1216"})
        expect_png("parameters",
                   R"({"prompt": "p", "Model": "m", "Model hash": "h", "resolution": ")" + std::string(size) + "\"}",
                   {{"dialect", "hf-space"},
                    {"prompt", "p"},
                    {"width", "832"},
                    {"height", "1216"},
                    {"model_name", "m"},
                    {"model_hash", "h"}});
}

TEST(DialectOf, NovelAiOfEveryAge)
{
    auto image = [](const char *comment) {
        return png_with(text_chunk("Software", "NovelAI") + text_chunk("Source", "Stable Diffusion 1D44365E") +
                        text_chunk("Description", "described") + text_chunk("Comment", comment));
    };
    expect(Scan(image(R"({"steps": 50, "sampler": "k_euler", "seed": 1, "scale": 10.0, "uc": "bad"})")),
           {{"dialect", "novelai"},
            {"prompt", "described"},
            {"negative_prompt", "bad"},
            {"model_name", "Stable Diffusion"},
            {"model_hash", "1D44365E"},
            {"width", ""}},
           "2022");
    expect(
        Scan(image(
            R"({"prompt": "flat", "uc": "x", "steps": 28, "sampler": "k", "seed": 2, "scale": 5, "v4_prompt": {"caption": {"base_caption": "base",
                          "char_captions": [{"char_caption": "girl"}, {"char_caption": "boy"}]}}, "v4_negative_prompt": {"caption": {"base_caption": "none of it"}}})")),
        {{"prompt", "base"}, {"negative_prompt", "none of it"}, {"n_characters", "2"}}, "2025");
    expect_png("Comment", "not JSON", {{"dialect", "none"}});
}

TEST(DialectOf, FileNamesAreTheLastResort)
{
    const std::pair<const char *, Told> names[] = {
        {"DALL\xC2\xB7"
         "E 2022-08-13 08.58.24 - a cat - and 3.5 dogs.png",
         {{"dialect", "dalle-filename"}, {"prompt", "a cat - and 3.5 dogs"}, {"date", "2022-08-13T08:58:24"}}},
        {"DALL-E 2022-08-13 08.58 - a cat.png", {{"dialect", "none"}}},
        {"generation_a_b_1664582400_12.png",
         {{"dialect", "stability-filename"},
          {"prompt", "a_b"},
          {"index", "12"},
          {"date", "2022-10-01T00:00:00+00:00"}}},
        {"generation_of_1664582400.png", {{"dialect", "none"}}},
        {"2418427432_an_old_fisherman.png",
         {{"dialect", "stability-filename"}, {"prompt", "an old fisherman"}, {"seed", "2418427432"}}},
        {"20230415_an_old_fisherman.png", {{"dialect", "none"}}},
        {"20230415_123456.png", {{"dialect", "none"}}},
        {"[sd_874124]-[scl_7.5]-[stp_30]-a [cat].png",
         {{"dialect", "filename-other"}, {"seed", "874124"}, {"cfg_scale", "7.5"}, {"prompt", "a [cat]"}}},
        {"00012-34-a dog.png", {{"dialect", "filename-other"}, {"seed", "34"}, {"prompt", "a dog"}}},
        {"00012-34-56.png", {{"dialect", "none"}}},
        {"some_user_a_grey_cat_a7421d2f-b262-44f9-977c-ac23e9c7d3e3_2.png",
         {{"dialect", "midjourney"}, {"prompt", "user a grey cat"}, {"provenance", "filename"}}},
        {"image_a7421d2f-b262-44f9-977c-ac23e9c7d3e3.png", {{"dialect", "none"}}},
    };
    for (const auto &[name, wanted] : names) {
        Options options("/folder/"s + name);
        options.sidecar = nullptr;
        std::string plain = png_with("");
        expect(Scan(plain, &options), wanted, name);
    }
}

TEST(DialectOf, ContentCredentialsTellOfModelsAlone)
{
    auto text = [](const std::string &value) {
        return (value.size() < 24 ? std::string(1, static_cast<char>(0x60 + value.size()))
                                  : "\x78"s + static_cast<char>(value.size())) +
               value;
    };
    auto block = [&](const std::string &source) {
        return "\0\0jumb" + text("claim_generator_info") + "\x81\xA2" + text("name") + text("A Firefly") +
               text("digitalSourceType") + text("http://cv.iptc.org/newscodes/digitalsourcetype/" + source);
    };
    Scan model(png_with(test::png_chunk("caBX", block("trainedAlgorithmicMedia"))));
    expect(model, {{"dialect", "c2pa"}, {"claimGenerator", "A Firefly"}, {"prompt", ""}}, "a model's");
    EXPECT_EQ("true", model["aiGenerated"]);
    expect(Scan(png_with(test::png_chunk("caBX", block("digitalCapture")))), {{"dialect", "none"}}, "a camera's");
    std::string whole = block("trainedAlgorithmicMedia"), jpeg = "\xFF\xD8";
    jpeg += test::jpeg_segment(0xEB, "JP\0\1\0\0\0\1"s + whole.substr(0, 30));
    jpeg += test::jpeg_segment(0xEB, "JP\0\1\0\0\0\2"s + "12345678" + whole.substr(30));
    expect(Scan(jpeg + "\xFF\xD9"), {{"dialect", "c2pa"}, {"claimGenerator", "A Firefly"}}, "two segments");
}

} // namespace
