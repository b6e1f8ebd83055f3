# SPDX-License-Identifier: MIT

amqpqt_test(broker tst_brokerfixture LIBRARIES amqpqt_brokerfixture)

# These use the public API only, as an application does.
foreach(test tst_closing tst_connecting tst_consuming tst_eventloops tst_settling tst_subscriptions)
    amqpqt_test(broker ${test} LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
endforeach()
amqpqt_test(broker tst_throughput LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture TIMEOUT 300)

if(TARGET example_receive)
    amqpqt_test(broker tst_quitsignals LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
    target_compile_definitions(tst_quitsignals PRIVATE AMQPQT_RECEIVE="$<TARGET_FILE:example_receive>")
    add_dependencies(tst_quitsignals example_receive)
endif()
