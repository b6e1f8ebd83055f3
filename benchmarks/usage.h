// SPDX-License-Identifier: MIT
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

// The resources that the process has used so far.
struct Usage {
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
    double cpuMicroseconds() const { return userMicroseconds + systemMicroseconds; }
};

inline long residentKilobytes()
{
    long size = 0;
    long resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}
