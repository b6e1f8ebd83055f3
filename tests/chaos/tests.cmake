# SPDX-License-Identifier: MIT

# Kills brokers and cuts connections, and checks that nothing is lost; see tools/chaos.

add_library(amqpqt_invariants STATIC EXCLUDE_FROM_ALL chaos/connectionledger.cpp chaos/messageledger.cpp
    chaos/topologymodel.cpp chaos/verdict.cpp)
target_include_directories(amqpqt_invariants PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_invariants PUBLIC Qt6::Core PRIVATE amqpqt_build_flags)
amqpqt_test(chaos tst_invariants LIBRARIES amqpqt_invariants)

if(CMAKE_SYSTEM_NAME STREQUAL "Linux") # /proc/net/tcp
    add_executable(chaos chaos/main.cpp chaos/brokernode.cpp chaos/connectionwatch.cpp chaos/cutconnections.cpp
        chaos/killbroker.cpp chaos/restartbroker.cpp chaos/scenarios.cpp chaos/stream.cpp chaos/streams.cpp
        chaos/subscribers.cpp)
    set_target_properties(chaos PROPERTIES AUTOMOC ON)
    target_link_libraries(chaos PRIVATE amqpqt_invariants amqpqt_faultproxy AmqpQt::AmqpQt amqpqt_build_flags)
    target_compile_definitions(chaos PRIVATE AMQPQT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    if(EXISTS /usr/lib/rabbitmq/bin/rabbitmq-server)
        add_test(NAME chaos COMMAND ${PROJECT_SOURCE_DIR}/tools/broker run $<TARGET_FILE:chaos> --quick)
        # It needs the time of two processors: its own and the broker's.
        set_tests_properties(chaos PROPERTIES LABELS chaos TIMEOUT 900 PROCESSORS 2)
    endif()
endif()
