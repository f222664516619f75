/* SPDX-License-Identifier: MIT */
/*
 * half.c - float16 to float32 and back.  Bit by bit as NumPy's own conversions, NaN payloads included, and without
 * arithmetic on denormals, which a host may have told the processor to flush.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"

#include <string.h>

#define EXPONENT_SHIFT 23
#define BIAS_DIFFERENCE (127 - 15)

static inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint32_t widen(uint32_t half)
{
    const uint32_t implicit = (uint32_t)(BIAS_DIFFERENCE + 1) << EXPONENT_SHIFT;
    uint32_t sign = (half & 0x8000) << 16, magnitude = (half & 0x7FFF) << 13;
    uint32_t normal = magnitude + ((uint32_t)BIAS_DIFFERENCE << EXPONENT_SHIFT);
    uint32_t special = magnitude | 0x7F800000;
    /* 2^-14 * (1 + mantissa) - 2^-14: the mantissa of a denormal, made normal */
    uint32_t denormal = to_bits(from_bits(magnitude + implicit) - from_bits(implicit));
    uint32_t result = (half & 0x7C00) == 0x7C00 ? special : normal;
    return sign | ((half & 0x7C00) == 0 ? denormal : result);
}

static inline uint32_t narrow(uint32_t bits)
{
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    /* half the last bit that stays, one less where that bit is 0: ties go to even */
    uint32_t normal = (magnitude - ((uint32_t)BIAS_DIFFERENCE << EXPONENT_SHIFT) + 0xFFF + (magnitude >> 13 & 1)) >> 13;
    /* The last bit of 0.5f is 2^-24, that of a denormal half: the addition rounds. */
    uint32_t denormal = to_bits(from_bits(magnitude) + 0.5f) - to_bits(0.5f);
    uint32_t payload = magnitude >> 13 & 0x3FF;
    uint32_t nan = 0x7C00 | (payload ? payload : 1);
    uint32_t result = magnitude < 0x38800000 ? denormal : normal;
    result = magnitude >= 0x47800000 ? 0x7C00 : result;
    return sign | (magnitude > 0x7F800000 ? nan : result);
}

void rf_half_to_float(const void *halves, size_t count, float *out)
{
    const uint8_t *in = halves;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = widen(rf_get16(in + 2 * i));
        memcpy(out + i, &bits, sizeof bits);
    }
}

void rf_float_to_half(const float *floats, size_t count, void *out)
{
    uint8_t *to = out;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, floats + i, sizeof bits);
        bits = narrow(bits);
        to[2 * i] = (uint8_t)bits;
        to[2 * i + 1] = (uint8_t)(bits >> 8);
    }
}

void rf_load_floats(const void *data, size_t count, raiiaf_dtype dtype, float *out)
{
    if (dtype == RAIIAF_FLOAT16) {
        rf_half_to_float(data, count, out);
        return;
    }
    const uint8_t *in = data;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = rf_get32(in + 4 * i);
        memcpy(out + i, &bits, sizeof bits);
    }
}

size_t rf_element_size(raiiaf_dtype dtype)
{
    return dtype == RAIIAF_FLOAT32 ? 4 : dtype == RAIIAF_FLOAT16 ? 2 : 0;
}
