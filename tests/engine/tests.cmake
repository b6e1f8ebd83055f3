# SPDX-License-Identifier: MIT

add_library(amqpqt_script STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/support/script.cpp)
target_link_libraries(amqpqt_script PUBLIC amqpqt_engine amqpqt_brokersession Qt6::Test PRIVATE amqpqt_build_flags)

foreach(test tst_ackmerging tst_acks tst_authentication tst_backoff tst_calltracker tst_channelclosing tst_channelids tst_channelrouter
        tst_channeltable tst_closetimer tst_confirms tst_connectioncalls tst_connectionclosing tst_consumerrules tst_deniedfeatures
        tst_contents tst_eventqueue tst_faults tst_flowcontrol tst_framereader tst_framewriter tst_handshake
        tst_handshakesteps tst_heartbeat tst_heldchannels tst_knownarguments tst_messagelimit tst_orderrules tst_outputbuffer
        tst_publishedcontents tst_recordedcalls tst_recoverability tst_repeateddeliveries tst_restoration tst_returns tst_topologyrecord
        tst_topologyreplay
        tst_suspendedcalls tst_suspendedchannels tst_suspendedconsumers tst_transactions tst_watermarks)
    amqpqt_test(engine ${test} LIBRARIES amqpqt_script)
endforeach()

foreach(test tst_callqueue tst_channelpublishing tst_channelsubscriptions tst_consumertable tst_contentreceiver
        tst_deliveries tst_topologycalls tst_transaction) # the parts of a channel
    amqpqt_test(engine ${test} LIBRARIES amqpqt_script)
endforeach()

add_library(amqpqt_exerciser STATIC EXCLUDE_FROM_ALL
    ${CMAKE_CURRENT_SOURCE_DIR}/support/engineexerciser.cpp ${CMAKE_CURRENT_SOURCE_DIR}/support/engineobserver.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/support/enginepeer.cpp)
target_link_libraries(amqpqt_exerciser PUBLIC amqpqt_script PRIVATE amqpqt_build_flags)
amqpqt_test(engine tst_robustness TIMEOUT 300 LIBRARIES amqpqt_exerciser amqpqt_script)

if(CMAKE_SYSTEM_NAME STREQUAL "Linux") # the meter replaces glibc's malloc()
    amqpqt_test(engine tst_memory LIBRARIES amqpqt_script SOURCES support/heapmeter.cpp)
endif()
