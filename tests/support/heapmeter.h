// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qglobal.h>

// How much heap memory was live at most since the meter was made, above what was live then. One meter at a time. It
// sees every allocation of the process: with glibc by standing in for malloc(), under a sanitizer by the hooks it has.
class HeapMeter
{
public:
    HeapMeter();
    HeapMeter(const HeapMeter &) = delete;
    HeapMeter &operator=(const HeapMeter &) = delete;

    qint64 peak() const;
    qint64 live() const;

private:
    qint64 m_before;
};

// Bytes of the process that are in memory now, VmRSS of Linux; 0: not known.
qint64 residentMemory();
