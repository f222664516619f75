/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.c - RAIIAF for glycin, with which Loupe, GNOME's viewer, loads images: a program that it starts in a sandbox
 * and talks to through its standard input.  The pictures come from our loader for gdk-pixbuf.
 *
 * The talk is D-Bus between two (interface org.gnome.glycin.Loader, version 1+).  GIO spells the messages; its sockets
 * need system calls that the sandbox ends a program for, so sending and receiving is done here.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <fcntl.h>
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PEER STDIN_FILENO
#define MAX_FDS 4
#define INTERFACE "org.gnome.glycin.Loader"
#define ERROR "org.gnome.glycin.Error.LoadingError"

/* glycin's numbers for eight-bit pixels that aren't premultiplied. */
enum { R8G8B8A8 = 5, R8G8B8 = 7 };

typedef struct message {
    GByteArray *bytes;
    int fds[MAX_FDS];
    int fd_count;
} message;

/* ---- bytes in and out ---- */

static gboolean send_bytes(const void *data, gsize size, const int *fds, int fd_count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    while (size > 0) {
        struct iovec part = {(void *)data, size};
        struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
        if (fd_count > 0) {
            size_t length = (size_t)fd_count * sizeof *fds;
            memset(&control, 0, sizeof control);
            control.header =
                (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
            memcpy(CMSG_DATA(&control.header), fds, length);
            head.msg_control = &control;
            head.msg_controllen = CMSG_SPACE(length);
        }
        ssize_t sent = sendmsg(PEER, &head, MSG_NOSIGNAL);
        if (sent < 0)
            return FALSE;
        fd_count = 0;
        data = (const char *)data + sent;
        size -= (gsize)sent;
    }
    return TRUE;
}

/* Receives until the message has `size` bytes. */
static gboolean receive_bytes(message *m, gsize size)
{
    while (m->bytes->len < size) {
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
        } control;
        guchar room[4096];
        struct iovec part = {room, MIN(sizeof room, size - m->bytes->len)};
        struct msghdr head = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t got = recvmsg(PEER, &head, MSG_CMSG_CLOEXEC);
        if (got <= 0)
            return FALSE;
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            for (int i = 0, fd; i < count; i++) {
                memcpy(&fd, CMSG_DATA(c) + (size_t)i * sizeof fd, sizeof fd);
                if (m->fd_count < MAX_FDS)
                    m->fds[m->fd_count++] = fd;
                else
                    close(fd);
            }
        }
        g_byte_array_append(m->bytes, room, (guint)got);
    }
    return TRUE;
}

static void forget(message *m)
{
    while (m->fd_count > 0)
        close(m->fds[--m->fd_count]);
    g_byte_array_set_size(m->bytes, 0);
}

/* ---- D-Bus ---- */

static gboolean say(message *m, const char *line, const char *answer)
{
    forget(m);
    if (!send_bytes(line, strlen(line), NULL, 0))
        return FALSE;
    while (m->bytes->len < 2 || memcmp(m->bytes->data + m->bytes->len - 2, "\r\n", 2) != 0)
        if (!receive_bytes(m, m->bytes->len + 1))
            return FALSE;
    return strncmp((const char *)m->bytes->data, answer, strlen(answer)) == 0;
}

static gboolean authenticate(message *m)
{
    static const char begin[] = "BEGIN\r\n";
    return send_bytes("", 1, NULL, 0) && say(m, "AUTH ANONYMOUS 726169696166\r\n", "OK ") &&
           say(m, "NEGOTIATE_UNIX_FD\r\n", "AGREE_UNIX_FD") && send_bytes(begin, sizeof begin - 1, NULL, 0);
}

static GDBusMessage *receive(message *m)
{
    forget(m);
    if (!receive_bytes(m, 16))
        return NULL;
    gssize size = g_dbus_message_bytes_needed(m->bytes->data, m->bytes->len, NULL);
    if (size < 0 || !receive_bytes(m, (gsize)size))
        return NULL;
    return g_dbus_message_new_from_blob(m->bytes->data, m->bytes->len, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, NULL);
}

static gboolean reply(GDBusMessage *answer, const int *fds, int fd_count)
{
    static guint32 serial;
    gsize size = 0;
    GUnixFDList *list = g_unix_fd_list_new();
    for (int i = 0; i < fd_count; i++)
        g_unix_fd_list_append(list, fds[i], NULL);
    if (fd_count > 0)
        g_dbus_message_set_unix_fd_list(answer, list);
    g_dbus_message_set_serial(answer, ++serial);
    guchar *bytes = g_dbus_message_to_blob(answer, &size, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, NULL);
    gboolean good = bytes && send_bytes(bytes, size, fds, fd_count);
    g_object_unref(list);
    g_free(bytes);
    return good;
}

/* ---- pictures ---- */

static GdkPixbuf *load(int fd, GError **error)
{
    guchar room[65536];
    ssize_t got = 0;
    GdkPixbuf *pixbuf = NULL;
    GdkPixbufLoader *loader = gdk_pixbuf_loader_new_with_type("raiiaf", error);
    if (!loader)
        return NULL;
    gboolean good = TRUE;
    while (good && (got = read(fd, room, sizeof room)) > 0)
        good = gdk_pixbuf_loader_write(loader, room, (gsize)got, error);
    good = gdk_pixbuf_loader_close(loader, good ? error : NULL) && good;
    if (good) /* GNOME shows pictures the right way up */
        pixbuf = gdk_pixbuf_apply_embedded_orientation(gdk_pixbuf_loader_get_pixbuf(loader));
    g_object_unref(loader);
    return pixbuf;
}

static int to_memory(const void *data, gsize size, int fd)
{
    if (fd < 0)
        fd = memfd_create("raiiaf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    while (fd >= 0 && size > 0) {
        ssize_t written = write(fd, data, size);
        if (written <= 0) {
            close(fd);
            return -1;
        }
        data = (const char *)data + written;
        size -= (gsize)written;
    }
    return fd;
}

static GVariant *describe(const GdkPixbuf *pixbuf)
{
    GVariantBuilder details;
    g_variant_builder_init(&details, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&details, "{sv}", "format_name", g_variant_new_string("RAIIAF"));
    g_variant_builder_add(&details, "{sv}", "transformations_applied", g_variant_new_boolean(TRUE));
    return g_variant_new("((uua{sv}))", gdk_pixbuf_get_width(pixbuf), gdk_pixbuf_get_height(pixbuf), &details);
}

/* The picture, and the descriptors that go with it. */
static GVariant *show(const GdkPixbuf *pixbuf, int *fds, int *fd_count)
{
    guint width = (guint)gdk_pixbuf_get_width(pixbuf), height = (guint)gdk_pixbuf_get_height(pixbuf);
    guint channels = (guint)gdk_pixbuf_get_n_channels(pixbuf), stride = width * channels;
    const guchar *pixels = gdk_pixbuf_read_pixels(pixbuf);
    const char *profile = gdk_pixbuf_get_option((GdkPixbuf *)pixbuf, "icc-profile");
    GVariantBuilder details;
    int fd = -1;
    for (guint y = 0; y < height && (y == 0 || fd >= 0); y++)
        fd = to_memory(pixels + (gsize)y * (gsize)gdk_pixbuf_get_rowstride(pixbuf), stride, fd);
    if (fd < 0)
        return NULL;
    fds[(*fd_count)++] = fd;
    g_variant_builder_init(&details, G_VARIANT_TYPE_VARDICT);
    if (profile) {
        gsize size;
        guchar *icc = g_base64_decode(profile, &size);
        fd = to_memory(icc, size, -1);
        g_free(icc);
        if (fd >= 0) {
            g_variant_builder_add(&details, "{sv}", "iccp", g_variant_new_handle(*fd_count));
            fds[(*fd_count)++] = fd;
        }
    }
    return g_variant_new("((uuuuh(tu)a{sv}))", width, height, stride, channels == 4 ? R8G8B8A8 : R8G8B8, 0, (guint64)0,
                         0u, &details);
}

/* ---- the two calls ---- */

/* The stream that Init names by its number in the message. */
static int stream_of(GDBusMessage *call, const message *m)
{
    GVariant *body = g_dbus_message_get_body(call);
    gint32 handle = -1;
    if (body && g_variant_is_of_type(body, G_VARIANT_TYPE("((hsa{sv}))")))
        g_variant_get(body, "((hsa{sv}))", &handle, NULL, NULL);
    return handle >= 0 && handle < m->fd_count ? m->fds[handle] : -1;
}

static gboolean answer(GDBusMessage *call, const message *m, GdkPixbuf **pixbuf)
{
    const char *member = g_dbus_message_get_member(call), *interface = g_dbus_message_get_interface(call);
    GDBusMessage *back;
    GVariant *body = NULL;
    GError *error = NULL;
    int fds[2], fd_count = 0;
    if (g_strcmp0(interface, INTERFACE) == 0 && g_strcmp0(member, "Init") == 0) {
        g_clear_object(pixbuf);
        *pixbuf = load(stream_of(call, m), &error);
        body = *pixbuf ? describe(*pixbuf) : NULL;
    } else if (g_strcmp0(interface, INTERFACE) == 0 && g_strcmp0(member, "Frame") == 0) {
        body = *pixbuf ? show(*pixbuf, fds, &fd_count) : NULL;
    }
    if (body) {
        back = g_dbus_message_new_method_reply(call);
        g_dbus_message_set_body(back, body);
    } else {
        back = g_dbus_message_new_method_error_literal(call, ERROR, error ? error->message : "no picture");
    }
    gboolean good = reply(back, fds, fd_count);
    g_object_unref(back);
    g_clear_error(&error);
    while (fd_count > 0)
        close(fds[--fd_count]);
    return good;
}

int main(void)
{
    message m = {.bytes = g_byte_array_new()};
    GdkPixbuf *pixbuf = NULL;
    fcntl(PEER, F_SETFL, fcntl(PEER, F_GETFL) & ~O_NONBLOCK);
    gboolean good = authenticate(&m);
    while (good) {
        GDBusMessage *call = receive(&m);
        good = call != NULL;
        if (good && g_dbus_message_get_message_type(call) == G_DBUS_MESSAGE_TYPE_METHOD_CALL)
            good = answer(call, &m, &pixbuf);
        g_clear_object(&call);
    }
    syscall(SYS_exit, 0); /* the sandbox allows no exit_group */
}
