# SPDX-License-Identifier: MIT

amqpqt_test(client tst_scriptedpeer LAYERS wire values LIBRARIES amqpqt_scriptedpeer)

add_library(amqpqt_clienttests STATIC EXCLUDE_FROM_ALL client/story.cpp)
target_include_directories(amqpqt_clienttests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_clienttests PUBLIC amqpqt_scriptedpeer amqpqt_client Qt6::Test PRIVATE amqpqt_build_flags)

foreach(test tst_attemptparameters tst_badinput tst_cancelling tst_cancelwindows tst_delivering tst_ending
        tst_failedattempts tst_futures tst_helperchannel tst_latesettlements
        tst_lifetime tst_opening tst_publisher tst_publisheroutbox tst_reentrancy
        tst_reopening tst_resubscribing tst_turns tst_writing)
    amqpqt_test(client ${test} LAYERS values wire engine transport client LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
endforeach()
amqpqt_test(client tst_turnscheduler LAYERS values wire engine transport client LIBRARIES amqpqt_clienttests)
amqpqt_test(client tst_attempts LAYERS values wire engine transport client
    LIBRARIES amqpqt_memorytransport amqpqt_clienttests amqpqt_scriptedpeer)
amqpqt_test(client tst_clientrobustness TIMEOUT 300 LAYERS values wire engine transport client
    LIBRARIES amqpqt_clientexerciser amqpqt_memorytransport amqpqt_brokersession)
foreach(test tst_latestvaluemodel tst_messagecolumns tst_messagemodel tst_ratehistory)
    amqpqt_test(client ${test} LAYERS values wire engine transport client models
        LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
endforeach()
amqpqt_test(client tst_threads THREADS LAYERS values wire engine transport client models LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
