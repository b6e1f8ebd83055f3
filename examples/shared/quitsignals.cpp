// SPDX-License-Identifier: MIT
#include "quitsignals.h"

#include <csignal>
#include <unistd.h>

namespace
{

int quitPipe[2]; // a signal handler can only reach global data

void onSignal(int)
{
    const char byte = 0;
    [[maybe_unused]] const auto written = write(quitPipe[1], &byte, 1);
}

} // namespace

QuitSignals::QuitSignals(QObject *parent)
    : QObject(parent)
{
    if (pipe(quitPipe) != 0)
        qFatal("pipe() failed");
    m_notifier = std::make_unique<QSocketNotifier>(quitPipe[0], QSocketNotifier::Read);
    connect(m_notifier.get(), &QSocketNotifier::activated, this, [this] {
        char byte;
        if (read(quitPipe[0], &byte, 1) == 1)
            Q_EMIT received();
    });
    std::signal(SIGINT, onSignal);
    std::signal(SIGTERM, onSignal);
}

QuitSignals::~QuitSignals()
{
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    m_notifier.reset();
    close(quitPipe[0]);
    close(quitPipe[1]);
}
