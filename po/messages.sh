#!/bin/sh
# SPDX-License-Identifier: MIT
# All messages of the sources, as a template for catalogues, to standard output.
cd "$(dirname "$0")/.." && exec xgettext --keyword=_ --keyword=N_ --from-code=UTF-8 --add-location=file \
    --sort-by-file --add-comments=translators --flag=rf_fail:5:c-format --flag=rf_fail_errno:5:c-format \
    --flag=rf_warn:5:c-format --package-name=raiiaf --copyright-holder="raiiaf contributors" \
    --msgid-bugs-address="see CONTRIBUTING.md" -f po/POTFILES.in -o -
