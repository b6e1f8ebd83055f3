# SPDX-License-Identifier: MIT

# Kills brokers and cuts connections, and checks that nothing is lost; see tools/chaos.

add_library(amqpqt_invariants STATIC EXCLUDE_FROM_ALL chaos/connectionledger.cpp chaos/messageledger.cpp
    chaos/topologymodel.cpp chaos/verdict.cpp)
target_include_directories(amqpqt_invariants PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_invariants PUBLIC Qt6::Core PRIVATE amqpqt_build_flags)
amqpqt_test(chaos tst_invariants LIBRARIES amqpqt_invariants)
