// SPDX-License-Identifier: MIT
#pragma once

#include <QFile>

#include <sys/resource.h>
#include <unistd.h>

// What the process has used so far.
struct Usage
{
    double userMicroseconds = 0;
    double systemMicroseconds = 0;
    long peakResidentKilobytes = 0;

    static Usage now()
    {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        const auto microseconds = [](const timeval &time) { return double(time.tv_sec) * 1e6 + double(time.tv_usec); };
        return {microseconds(usage.ru_utime), microseconds(usage.ru_stime), usage.ru_maxrss};
    }
};

inline long residentKilobytes()
{
    QFile statm(QStringLiteral("/proc/self/statm"));
    if (!statm.open(QIODevice::ReadOnly))
        return 0;
    return statm.readAll().split(' ').value(1).toLong() * sysconf(_SC_PAGESIZE) / 1024;
}
