/* SPDX-License-Identifier: MIT */
/*
 * digest.c - SHA-256 (Nettle's) and hexadecimal.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base.h"

#include <nettle/sha2.h>

void rf_hex(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * size] = 0;
}

bool rf_unhex(const char *text, size_t size, uint8_t *out)
{
    for (size_t i = 0; i < size; i += 2) {
        int high = rf_hex_digit(text[i]), low = i + 1 < size ? rf_hex_digit(text[i + 1]) : -1;
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void rf_sha256(const void *data, size_t size, char hex[RF_SHA256_HEX])
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, size, data);
    sha256_digest(&context, sizeof digest, digest);
    rf_hex(digest, sizeof digest, hex);
}
