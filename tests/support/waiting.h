// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qcoreapplication.h>
#include <QtCore/qeventloop.h>
#include <QtCore/qtimer.h>

#include <chrono>

// Runs the event loop until the condition holds or the timeout expires. Checks after every event, not every 50 ms as
// QTRY_VERIFY does. Returns whether the condition holds.
template <typename Condition>
bool waitFor(Condition condition, std::chrono::milliseconds patience)
{
    QTimer alarm;
    alarm.setSingleShot(true);
    alarm.start(patience);
    while (!condition()) {
        if (!alarm.isActive())
            return false;
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    }
    return true;
}
