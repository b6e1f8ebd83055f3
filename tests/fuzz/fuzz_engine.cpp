// SPDX-License-Identifier: MIT
#include "fuzz/scriptfuzzer.h"
#include "support/engineexerciser.h"

#include <cstdio>
#include <cstdlib>

// Reads arbitrary bytes as a script of the actions of the application and the broker, and of time, on an engine.

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    useLongScripts(argc, argv);
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
