// SPDX-License-Identifier: MIT
#include "fuzz/scriptfuzzer.h"
#include "support/clientexerciser.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qloggingcategory.h>

#include <cstdio>
#include <cstdlib>

// Reads arbitrary bytes as a script of the actions of the application, also in its slots, of the broker and of the
// event loop.

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static int noArguments = 1;
    qputenv("QT_NO_GLIB", "1"); // GLib's event dispatcher is slower
    static QCoreApplication application(noArguments, *argv);
    QLoggingCategory::setFilterRules(QStringLiteral("amqpqt.*=false"));
    useLongScripts(argc, argv);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const QByteArrayView script(reinterpret_cast<const char *>(data), qsizetype(size));
    if (const QString failure = ClientExerciser(script).run(); !failure.isEmpty()) {
        std::fprintf(stderr, "%s\n", qPrintable(failure));
        std::abort();
    }
    return 0;
}
