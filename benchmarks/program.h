// SPDX-License-Identifier: MIT
#pragma once

// The command line of the programs that measure growth and memory: PROGRAM KIND --port P [--number N] [--count N]

#include "measure.h"

#include <initializer_list>

struct Program {
    std::string_view kind;
    std::uint16_t port = 5672;
    std::int64_t number = 100;
    std::int64_t count = 100000;

    static Program read(int argc, char *argv[], std::initializer_list<std::string_view> kinds)
    {
        static constexpr option names[] = {
            {"port", required_argument, nullptr, 'p'},
            {"number", required_argument, nullptr, 'n'},
            {"count", required_argument, nullptr, 'c'},
            {},
        };
        Program program;
        opterr = 0;
        for (int name; (name = getopt_long(argc, argv, "", names, nullptr)) != -1;) {
            switch (name) {
            case 'p':
                program.port = std::uint16_t(toNumber(optarg, 1, 65535));
                break;
            case 'n':
                program.number = toNumber(optarg, 1, 60000);
                break;
            case 'c':
                program.count = toNumber(optarg, 1, 1'000'000'000);
                break;
            default:
                fail(std::string(argv[optind - 1]) + " is not an option, or its value is missing");
            }
        }
        if (optind != argc - 1 || std::find(kinds.begin(), kinds.end(), argv[optind]) == kinds.end()) {
            std::string text = "the first argument must be one of";
            for (const std::string_view kind : kinds)
                text.append(" ").append(kind);
            fail(text);
        }
        program.kind = argv[optind];
        return program;
    }
};
