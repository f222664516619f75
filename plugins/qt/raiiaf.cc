/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.cc - RAIIAF for Qt 5 and 6: Gwenview, nomacs and other viewers of KDE and Qt.  Qt's own readers decode the
 * embedded image; prompt and settings become the picture's texts.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <QBuffer>
#include <QImage>
#include <QImageIOPlugin>
#include <QImageReader>
#include <QLoggingCategory>
#include <QVariant>
#include <memory>

#include "raiiaf.h"

namespace
{

/* What our reader hands on to Qt's. */
const QImageIOHandler::ImageOption passed_on[] = {QImageIOHandler::ScaledSize, QImageIOHandler::ClipRect,
                                                  QImageIOHandler::ScaledClipRect, QImageIOHandler::Quality};

/* A device from where it stood when it was given to us. */
struct Place {
    QIODevice *device;
    qint64 start;
};

int64_t read_at(void *user, uint64_t offset, void *buffer, size_t length)
{
    auto place = static_cast<Place *>(user);
    return place->device->seek(place->start + qint64(offset))
               ? place->device->read(static_cast<char *>(buffer), qint64(length))
               : -1;
}

int64_t read_on(void *user, void *buffer, size_t length)
{
    return qMax<qint64>(static_cast<QIODevice *>(user)->read(static_cast<char *>(buffer), qint64(length)), 0);
}

bool add_text(void *user, const char *name, const char *text)
{
    static_cast<QList<QPair<QString, QString>> *>(user)->append({QString::fromUtf8(name), QString::fromUtf8(text)});
    return true;
}

bool is_ours(QIODevice *device)
{
    QByteArray head = device->peek(RAIIAF_MAGIC_SIZE);
    return raiiaf_is_magic(head.constData(), size_t(head.size()));
}

class Handler : public QImageIOHandler
{
  public:
    ~Handler() override
    {
        reader.reset();
        raiiaf_buffer_free(&image);
        raiiaf_close(file);
    }

    bool canRead() const override
    {
        if (state == Unopened && is_ours(device()))
            setFormat("raiiaf");
        else if (state != Opened || read_once)
            return false;
        return true;
    }

    bool supportsOption(ImageOption option) const override
    {
        for (ImageOption known : passed_on)
            if (option == known)
                return true;
        return option == Size || option == Description || option == ImageTransformation;
    }

    void setOption(ImageOption option, const QVariant &value) override
    {
        wishes.insert(option, value);
    }

    QVariant option(ImageOption option) const override
    {
        /* Asking changes what has been read so far, never what there is to be read. */
        return const_cast<Handler *>(this)->tell(option);
    }

    bool read(QImage *picture) override
    {
        if (read_once || !open_image())
            return false;
        read_once = true;
        if (!reader->read(picture)) {
            qWarning("RAIIAF: %s", qPrintable(reader->errorString()));
            return false;
        }
        for (const auto &text : texts())
            picture->setText(text.first, text.second);
        return true;
    }

  private:
    enum { Unopened, Opened, Failed } state = Unopened;
    bool read_once = false; /* there is one picture */
    Place place = {};
    raiiaf_file *file = nullptr;
    raiiaf_buffer image = {nullptr, 0, nullptr};
    QBuffer bytes;
    std::unique_ptr<QImageReader> reader; /* Qt's, of the embedded image */
    QHash<int, QVariant> wishes;

    bool complain(const raiiaf_error &error)
    {
        qWarning("%s", error.text);
        state = Failed;
        return false;
    }

    bool open()
    {
        raiiaf_error error;
        if (state != Unopened)
            return state == Opened;
        place = {device(), device()->pos()};
        raiiaf_source source = {&place, "RAIIAF", uint64_t(device()->size() - place.start), read_at, nullptr, nullptr};
        if (device()->isSequential() &&
            raiiaf_source_stream(&source, read_on, device(), "RAIIAF", nullptr, &error) != RAIIAF_OK)
            return complain(error);
        if (raiiaf_open(&file, &source, nullptr, &error) != RAIIAF_OK)
            return complain(error);
        state = Opened;
        return true;
    }

    /* Hands the image, verified, to Qt's reader. */
    bool open_image()
    {
        raiiaf_error error;
        raiiaf_image_info form;
        if (!open())
            return false;
        if (!reader) {
            if (raiiaf_image_probe(file, &form, &error) != RAIIAF_OK ||
                raiiaf_chunk_read(file, raiiaf_image_chunk(file), 0, &image, &error) != RAIIAF_OK)
                return complain(error);
            bytes.setData(QByteArray::fromRawData(reinterpret_cast<const char *>(image.data), int(image.size)));
            reader.reset(new QImageReader(&bytes, QByteArray(raiiaf_image_format_name(form.format)).toLower()));
            reader->setAutoDetectImageFormat(
                false); /* an image of another kind, our own above all, isn't looked into */
        }
        reader->setScaledSize(wishes.value(ScaledSize).toSize());
        reader->setClipRect(wishes.value(ClipRect).toRect());
        reader->setScaledClipRect(wishes.value(ScaledClipRect).toRect());
        reader->setQuality(wishes.value(Quality, -1).toInt());
        return true;
    }

    QList<QPair<QString, QString>> texts()
    {
        QList<QPair<QString, QString>> list;
        raiiaf_buffer parameters;
        raiiaf_text_each(file, add_text, &list);
        if (raiiaf_parameters(file, &parameters, nullptr) == RAIIAF_OK)
            add_text(&list, "parameters", reinterpret_cast<const char *>(parameters.data));
        raiiaf_buffer_free(&parameters);
        return list;
    }

    QVariant tell(ImageOption option)
    {
        raiiaf_image_info form;
        QString description;
        if (!supportsOption(option) || !open())
            return QVariant();
        switch (option) {
        case Size:
            if (raiiaf_image_probe(file, &form, nullptr) == RAIIAF_OK && form.width && form.height)
                return QSize(int(form.width), int(form.height));
            return QVariant();
        case Description: /* as Qt takes it apart again */
            for (const auto &text : texts())
                description += text.first + QLatin1String(": ") + text.second.simplified() + QLatin1String("\n\n");
            return description;
        case ImageTransformation:
            return open_image() ? QVariant(int(reader->transformation())) : QVariant();
        default:
            return wishes.value(option);
        }
    }
};

} // namespace

class RaiiafPlugin : public QImageIOPlugin
{
    Q_OBJECT
    Q_PLUGIN_METADATA(IID "org.qt-project.Qt.QImageIOHandlerFactoryInterface" FILE "raiiaf.json")

  public:
    Capabilities capabilities(QIODevice *device, const QByteArray &format) const override
    {
        if (format == "raiiaf" || format == "gen5")
            return CanRead;
        return format.isEmpty() && device && device->isReadable() && is_ours(device) ? CanRead : Capabilities();
    }

    QImageIOHandler *create(QIODevice *device, const QByteArray &format) const override
    {
        auto handler = new Handler;
        handler->setDevice(device);
        handler->setFormat(format);
        return handler;
    }
};

#include "raiiaf.moc"
