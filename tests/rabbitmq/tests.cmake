# SPDX-License-Identifier: MIT

amqpqt_test(rabbitmq tst_brokerfixture LIBRARIES amqpqt_brokerfixture)
if(EXISTS /usr/lib/rabbitmq/bin/rabbitmq-server) # otherwise the tests use an external broker
    amqpqt_test(rabbitmq tst_brokertool LIBRARIES Qt6::Network)
endif()

# The following tests use the public API only, as an application does.
amqpqt_test(rabbitmq tst_authenticating LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture amqpqt_certificates)
foreach(test tst_afterdelivery tst_brokercancels tst_channels tst_closing tst_confirming tst_connecting tst_consuming
        tst_directreplyto tst_eventloops
        tst_messagemodel_live tst_publishing tst_queueoptions tst_recordedtopology tst_recovery tst_rejectedpublishes
        tst_settling tst_subscriptions tst_topology tst_transacting)
    amqpqt_test(rabbitmq ${test} LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
endforeach()
foreach(test tst_recoveryconsumers tst_recoveryoutages tst_recoveryrefusals tst_recoverysettling
        tst_recoverytopology)
    amqpqt_test(rabbitmq ${test} LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture amqpqt_faultproxy)
endforeach()
amqpqt_test(rabbitmq tst_devices_live LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
amqpqt_test(rabbitmq tst_tls_live LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture amqpqt_certificates)
amqpqt_test(rabbitmq tst_publisher_live LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture SOURCES support/heapmeter.cpp)
amqpqt_test(rabbitmq tst_throughput LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture TIMEOUT 300)

if(TARGET example_receive)
    amqpqt_test(rabbitmq tst_quitsignals LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
    target_compile_definitions(tst_quitsignals PRIVATE AMQPQT_RECEIVE="$<TARGET_FILE:example_receive>")
    add_dependencies(tst_quitsignals example_receive)
    amqpqt_test(rabbitmq tst_tutorials LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
    target_compile_definitions(tst_tutorials PRIVATE AMQPQT_EXAMPLES="$<TARGET_FILE_DIR:example_receive>")
    foreach(example send receive worker newtask dotasks emitlog receivelogs emitlogdirect receivelogsdirect emitlogtopic
            receivelogstopic confirms parallel sensorwatch token)
        add_dependencies(tst_tutorials example_${example})
    endforeach()
    amqpqt_test(rabbitmq tst_parallel LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
    target_compile_definitions(tst_parallel PRIVATE AMQPQT_EXAMPLES="$<TARGET_FILE_DIR:example_parallel>")
    add_dependencies(tst_parallel example_parallel)
    amqpqt_test(rabbitmq tst_token LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
    target_compile_definitions(tst_token PRIVATE AMQPQT_EXAMPLES="$<TARGET_FILE_DIR:example_token>")
    add_dependencies(tst_token example_token)
    amqpqt_test(rabbitmq tst_recoveryexample LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture SOURCES support/delayproxy.h)
    target_compile_definitions(tst_recoveryexample PRIVATE AMQPQT_EXAMPLES="$<TARGET_FILE_DIR:example_recovery>")
    add_dependencies(tst_recoveryexample example_recovery example_worker)
    amqpqt_test(rabbitmq tst_tlsexample LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture amqpqt_certificates)
    target_compile_definitions(tst_tlsexample PRIVATE AMQPQT_EXAMPLES="$<TARGET_FILE_DIR:example_tls>")
    add_dependencies(tst_tlsexample example_tls)
endif()
if(TARGET example_websocket)
    find_package(Qt6 6.4 REQUIRED COMPONENTS WebSockets)
    amqpqt_test(rabbitmq tst_websocket LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture amqpqt_certificates Qt6::WebSockets)
    target_compile_definitions(tst_websocket PRIVATE AMQPQT_EXAMPLES="$<TARGET_FILE_DIR:example_websocket>")
    add_dependencies(tst_websocket example_websocket)
endif()

# The other clients to test with: librabbitmq through a separate program, pika through Python.
amqpqt_test(rabbitmq tst_interop_pika LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
amqpqt_test(rabbitmq tst_interop_tls LAYERS base wire engine transport client
    LIBRARIES amqpqt_scriptedpeer amqpqt_brokerfixture)
find_library(AMQPQT_LIBRABBITMQ rabbitmq)
if(AMQPQT_LIBRABBITMQ)
    enable_language(C)
    add_executable(interop_librabbitmq rabbitmq/interop_librabbitmq.c)
    target_link_libraries(interop_librabbitmq PRIVATE ${AMQPQT_LIBRABBITMQ})
    amqpqt_test(rabbitmq tst_interop_librabbitmq LIBRARIES AmqpQt::AmqpQt amqpqt_brokerfixture)
    target_compile_definitions(tst_interop_librabbitmq PRIVATE
        AMQPQT_INTEROP_LIBRABBITMQ="$<TARGET_FILE:interop_librabbitmq>")
    add_dependencies(tst_interop_librabbitmq interop_librabbitmq)
    add_executable(interop_tls_librabbitmq rabbitmq/interop_tls_librabbitmq.c)
    target_link_libraries(interop_tls_librabbitmq PRIVATE ${AMQPQT_LIBRABBITMQ})
    target_compile_definitions(tst_interop_tls PRIVATE
        AMQPQT_INTEROP_TLS_LIBRABBITMQ="$<TARGET_FILE:interop_tls_librabbitmq>")
    add_dependencies(tst_interop_tls interop_tls_librabbitmq)
else()
    message(STATUS "Without librabbitmq there is no tst_interop_librabbitmq")
endif()
