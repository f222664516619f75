/* SPDX-License-Identifier: MIT */
/*
 * main.cc - runs the unit tests under the locale that the environment names.
 */
#include <gtest/gtest.h>

#include <clocale>
#include <cstdio>

int main(int argc, char **argv)
{
    testing::InitGoogleTest(&argc, argv);
    const char *locale = setlocale(LC_ALL, "");
    if (!locale) {
        fprintf(stderr, "the locale that LC_ALL names isn't installed\n");
        return 1;
    }
    printf("locale: %s\n", locale);
    return RUN_ALL_TESTS();
}
