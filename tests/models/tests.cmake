# SPDX-License-Identifier: MIT

foreach(test tst_latestvaluemodel tst_messagecolumns tst_messagemodel tst_ratehistory)
    amqpqt_test(models ${test} LAYERS base wire engine transport client models
        LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
endforeach()
amqpqt_test(models tst_connectionhistorymodel LAYERS base wire engine transport client models
    LIBRARIES amqpqt_memorytransport amqpqt_clienttests amqpqt_scriptedpeer)
