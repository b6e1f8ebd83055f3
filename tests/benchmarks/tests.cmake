# SPDX-License-Identifier: MIT

# Runs the programs of benchmarks/ against the synthetic broker, with small numbers, and checks only the form of the output.
if(NOT TARGET benchmark_broker)
    return()
endif()
find_program(AMQPQT_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH) # the one that python3-pika belongs to
if(NOT AMQPQT_PYTHON)
    message(STATUS "Python 3 was not found; the benchmarks are not tested")
    return()
endif()
set(programs client client_floor growth memory stall)
if(TARGET benchmark_client_librabbitmq)
    list(APPEND programs client_librabbitmq memory_librabbitmq)
endif()
if(TARGET benchmark_qmlmodel)
    list(APPEND programs qmlmodel)
endif()
foreach(program ${programs})
    add_test(NAME bench_${program} COMMAND ${AMQPQT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/benchmarks/check_program.py
        $<TARGET_FILE:benchmark_broker> $<TARGET_FILE:benchmark_${program}>)
    list(APPEND bench_tests bench_${program})
endforeach()
add_test(NAME bench_client_pika COMMAND ${AMQPQT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/benchmarks/check_program.py
    $<TARGET_FILE:benchmark_broker> ${PROJECT_SOURCE_DIR}/benchmarks/client_pika.py)
set_tests_properties(${bench_tests} bench_client_pika PROPERTIES LABELS benchmarks TIMEOUT 120)
if(TARGET benchmark_qmlmodel)
    set_tests_properties(bench_qmlmodel PROPERTIES ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
endif()
