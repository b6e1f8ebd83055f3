// SPDX-License-Identifier: MIT
#pragma once

#include "program.h"

#include <malloc.h>

#include <cmath>

// Measures the growth of memory from its construction to print().
class MemoryGrowth
{
public:
    MemoryGrowth()
        : m_heap(heapBytes())
        , m_resident(residentKilobytes())
    {
    }

    void print(std::int64_t number) const
    {
        std::printf("{\"number\":%lld,\"heap_bytes_each\":%.0f,\"rss_bytes_each\":%.0f}\n",
                    static_cast<long long>(number), double(heapBytes() - m_heap) / double(number),
                    double(residentKilobytes() - m_resident) * 1024 / double(number));
        std::fflush(stdout);
    }

private:
    static std::int64_t heapBytes()
    {
        const struct mallinfo2 info = mallinfo2();
        return std::int64_t(info.uordblks + info.hblkhd);
    }

    const std::int64_t m_heap;
    const long m_resident;
};
