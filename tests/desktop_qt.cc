/* SPDX-License-Identifier: MIT */
/*
 * desktop_qt.cc - reads pictures as Qt's viewers do, for desktop_test.py.
 *
 * desktop_qt [WORD...] FILE...
 *
 * For each file prints "ok WIDTHxHEIGHT SHA-256-of-the-pixels", or "error" and the message.  Words, which go before the
 * files:
 *
 * - size=WxH: asks for that size
 * - texts: prints the size and the prompt that are told without decoding, then the picture's texts; name, tab, base64
 * - stream: reads from a device that can't seek
 * - inside: reads from the middle of a device
 */
#include <QBuffer>
#include <QCoreApplication>
#include <QCryptographicHash>
#include <QFile>
#include <QImage>
#include <QImageReader>
#include <cstdio>
#include <cstring>

class Stream : public QIODevice
{
  public:
    QByteArray rest;

    bool isSequential() const override
    {
        return true;
    }

  protected:
    qint64 readData(char *data, qint64 size) override
    {
        qint64 count = qMin<qint64>(size, rest.size());
        std::memcpy(data, rest.constData(), size_t(count));
        rest.remove(0, int(count));
        return count ? count : -1;
    }

    qint64 writeData(const char *, qint64) override
    {
        return -1;
    }
};

int main(int count, char **words)
{
    QCoreApplication application(count, words);
    QSize size;
    bool texts = false, stream = false, inside = false;
    for (int i = 1; i < count; i++) {
        int width, height;
        if (std::sscanf(words[i], "size=%dx%d", &width, &height) == 2) {
            size = QSize(width, height);
            continue;
        }
        if (!std::strcmp(words[i], "texts") || !std::strcmp(words[i], "stream") || !std::strcmp(words[i], "inside")) {
            (words[i][0] == 't' ? texts : words[i][0] == 's' ? stream : inside) = true;
            continue;
        }
        QFile file(QString::fromLocal8Bit(words[i]));
        if (!file.open(QIODevice::ReadOnly))
            return 2;
        Stream sequential;
        QBuffer buffer;
        QIODevice *device = &file;
        if (stream) {
            sequential.rest = file.readAll();
            device = &sequential;
        } else if (inside) {
            buffer.setData("before" + file.readAll());
            device = &buffer;
        }
        if (device != &file)
            device->open(QIODevice::ReadOnly);
        if (inside)
            device->seek(6);

        QImageReader reader(device);
        if (size.isValid())
            reader.setScaledSize(size);
        QSize told = reader.size();
        QString prompt = reader.text(QStringLiteral("prompt"));
        QImage image = reader.read();
        if (image.isNull()) {
            std::printf("error %s\n", qPrintable(reader.errorString()));
            continue;
        }
        QImage rgba = image.convertToFormat(QImage::Format_RGBA8888);
        QCryptographicHash hash(QCryptographicHash::Sha256);
        for (int y = 0; y < rgba.height(); y++)
            hash.addData(
                QByteArray::fromRawData(reinterpret_cast<const char *>(rgba.constScanLine(y)), rgba.width() * 4));
        std::printf("ok %dx%d %s\n", image.width(), image.height(), hash.result().toHex().constData());
        if (!texts)
            continue;
        std::printf("told %dx%d\t%s\n", told.width(), told.height(), prompt.toUtf8().toBase64().constData());
        for (const QString &key : image.textKeys())
            std::printf("%s\t%s\n", key.toUtf8().constData(), image.text(key).toUtf8().toBase64().constData());
    }
    return 0;
}
