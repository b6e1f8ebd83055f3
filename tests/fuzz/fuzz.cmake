# SPDX-License-Identifier: MIT
#
# Fuzzers for clang's libFuzzer, not part of a normal build. tools/fuzz builds and runs them.

option(AMQPQT_BUILD_FUZZERS "Build the fuzzers (clang only)" OFF)
if(NOT AMQPQT_BUILD_FUZZERS)
    return()
endif()
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "AMQPQT_BUILD_FUZZERS needs clang: libFuzzer comes with it")
endif()

# The layers are instrumented too, so that the fuzzer sees which of their branches an input takes.
target_compile_options(amqpqt_build_flags INTERFACE -fsanitize=fuzzer-no-link)
target_link_options(amqpqt_build_flags INTERFACE -fsanitize=fuzzer-no-link)

function(amqpqt_fuzzer name)
    cmake_parse_arguments(arg "" "" "LAYERS;LIBRARIES" ${ARGN})
    add_executable(${name} fuzz/${name}.cpp)
    foreach(layer ${arg_LAYERS})
        target_link_libraries(${name} PRIVATE amqpqt_${layer})
    endforeach()
    target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} amqpqt_build_flags)
    target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()

amqpqt_fuzzer(fuzz_wire LAYERS wire base)
amqpqt_fuzzer(fuzz_engine LAYERS engine wire base LIBRARIES amqpqt_exerciser amqpqt_script)
amqpqt_fuzzer(fuzz_client LAYERS client engine transport wire base LIBRARIES amqpqt_clientexerciser)
