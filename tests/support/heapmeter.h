// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qglobal.h>

// Measures the peak of live heap memory since the meter was created, above the amount at that time. Only one meter may
// exist at a time. It sees every allocation of the process: with glibc by replacing malloc(), under a sanitizer by
// hooks.
class HeapMeter
{
public:
    HeapMeter();
    HeapMeter(const HeapMeter &) = delete;
    HeapMeter &operator=(const HeapMeter &) = delete;

    qint64 peak() const;
    qint64 live() const;
    // The memory that the current thread has allocated, less the memory that it has freed. The meter must have been
    // created in the same thread.
    qint64 liveInThread() const;

private:
    qint64 m_before;
    qint64 m_beforeInThread;
};

// Returns the resident memory of the process in bytes (VmRSS on Linux), or 0 if it is not known.
qint64 residentMemory();
