// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

// Makes libFuzzer begin with long scripts. By default libFuzzer makes inputs longer only when it has found nothing
// new for a long time, and even after hours the scripts have only a few steps. Options on the command line take
// precedence.
inline void useLongScripts(int *argc, char ***argv)
{
    static char lengthControl[] = "-len_control=0";
    static char maximumLength[] = "-max_len=2000";
    static std::vector<char *> arguments(*argv, *argv + *argc);
    arguments.insert(arguments.begin() + 1, {lengthControl, maximumLength});
    *argc = int(arguments.size());
    arguments.push_back(nullptr);
    *argv = arguments.data();
}
