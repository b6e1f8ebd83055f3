// SPDX-License-Identifier: MIT
#include "support/engineexerciser.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

// Any bytes as a script of what application, broker and time do to an engine.

// Long scripts from the start: by itself libFuzzer makes inputs longer only when it finds nothing new for a long time,
// and after hours the scripts still have a few steps. What is given on the command line counts more.
extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char lengthControl[] = "-len_control=0";
    static char maximumLength[] = "-max_len=2000";
    static std::vector<char *> arguments(*argv, *argv + *argc);
    arguments.insert(arguments.begin() + 1, {lengthControl, maximumLength});
    *argc = int(arguments.size());
    arguments.push_back(nullptr);
    *argv = arguments.data();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const auto begin =
        *data & 1 ? EngineExerciser::Begin::Open : EngineExerciser::Begin::Unstarted; // the first byte chooses
    const QByteArrayView script(reinterpret_cast<const char *>(data) + 1, qsizetype(size - 1));
    if (const QString failure = EngineExerciser(script, begin).run(); !failure.isEmpty()) {
        std::fprintf(stderr, "%s\n", qPrintable(failure));
        std::abort();
    }
    return 0;
}
