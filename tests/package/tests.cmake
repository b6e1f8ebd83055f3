# SPDX-License-Identifier: MIT

# Tests the library as its users get it, that is, built without tests and sanitizers, and either installed and found by
# find_package() or as a part of another project. The tests build in debug mode, which is faster and does not change the
# linked, installed and exported files.
foreach(kind package subproject)
    foreach(shared ON OFF)
        if(shared)
            set(test ${kind}_shared)
            set(qml ${AMQPQT_BUILD_QML})
        else()
            set(test ${kind}_static)
            set(qml OFF)
        endif()
        add_test(NAME ${test} COMMAND ${CMAKE_COMMAND} -DSHARED=${shared} -DQML=${qml} -DSOURCE_DIR=${PROJECT_SOURCE_DIR}
            -DCONSUMER_DIR=${CMAKE_CURRENT_SOURCE_DIR}/package/consumer -DPARENT_DIR=${CMAKE_CURRENT_SOURCE_DIR}/package/parent
            -DWORK_DIR=${PROJECT_BINARY_DIR}/${test} -DGENERATOR=${CMAKE_GENERATOR} -DCXX_COMPILER=${CMAKE_CXX_COMPILER}
            -DCXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER} -DBUILD_TYPE=Debug
            -P ${CMAKE_CURRENT_SOURCE_DIR}/package/${kind}.cmake)
        # These tests run alone, because compilers on every core make the Erlang VMs of the broker tests
        # twenty times slower.
        set_tests_properties(${test} PROPERTIES LABELS package TIMEOUT 900 RUN_SERIAL ON)
    endforeach()
endforeach()
