# SPDX-License-Identifier: MIT

amqpqt_test(client tst_certificates LIBRARIES amqpqt_certificates)
amqpqt_test(client tst_faultproxy LIBRARIES amqpqt_faultproxy)
amqpqt_test(client tst_scriptedpeer LAYERS wire base LIBRARIES amqpqt_scriptedpeer)
amqpqt_test(client tst_scriptedtls LAYERS wire base LIBRARIES amqpqt_scriptedpeer)

amqpqt_test(client tst_tlsoptions LAYERS transport base LIBRARIES amqpqt_certificates)

add_library(amqpqt_clienttests STATIC EXCLUDE_FROM_ALL client/story.cpp)
target_include_directories(amqpqt_clienttests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_clienttests PUBLIC amqpqt_scriptedpeer amqpqt_client Qt6::Test PRIVATE amqpqt_build_flags)

foreach(test tst_applying tst_attemptparameters tst_badinput tst_cancelling tst_cancelwindows tst_close tst_credentialrequests
        tst_connectionreplies
        tst_delivering tst_dispatcher
        tst_ending tst_eventrouter tst_expiringcredentials tst_failedattempts tst_flowreports tst_foreignthreads tst_futures
        tst_helperchannel tst_latesettlements
        tst_lifetime tst_opening tst_publisher tst_publisherdeletion tst_publisheroutbox tst_publisherrecovery tst_reentrancy
        tst_reopening tst_replytimeout tst_restoring tst_resubscribing tst_saslmechanisms tst_secretrenewal tst_suspending tst_tlsmatrix tst_turns
        tst_recoverywire tst_refusedentities
        tst_writing
        tst_wrongsettling)
    amqpqt_test(client ${test} LAYERS base wire engine transport client LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
endforeach()
foreach(test tst_departing tst_proxies tst_tls)
    amqpqt_test(client ${test} LAYERS base wire engine transport client
        LIBRARIES amqpqt_proxyserver amqpqt_clienttests amqpqt_scriptedpeer)
endforeach()
amqpqt_test(client tst_devices SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/support/memorydevice.h
    LAYERS base wire engine transport client LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
if(TARGET example_websocket)
    find_package(Qt6 6.4 REQUIRED COMPONENTS WebSockets)
    amqpqt_test(client tst_websocketdevice LAYERS base wire engine transport client
        SOURCES ${PROJECT_SOURCE_DIR}/examples/websocket/websocketdevice.cpp
            ${PROJECT_SOURCE_DIR}/examples/websocket/websocketdevice.h
        LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer Qt6::WebSockets)
endif()
if(TARGET example_monitor)
    amqpqt_test(client tst_connectionbanner LAYERS base wire engine transport client
        SOURCES ${PROJECT_SOURCE_DIR}/examples/monitor/connectionbanner.cpp
            ${PROJECT_SOURCE_DIR}/examples/monitor/connectionbanner.h
        LIBRARIES amqpqt_memorytransport amqpqt_clienttests amqpqt_scriptedpeer Qt6::Widgets)
    set_property(TEST tst_connectionbanner APPEND PROPERTY ENVIRONMENT "QT_QPA_PLATFORM=offscreen")
endif()
amqpqt_test(client tst_turnscheduler LAYERS base wire engine transport client LIBRARIES amqpqt_clienttests)
foreach(test tst_attempts tst_calmstate tst_departingtransport tst_dialer tst_networkstate tst_recovering tst_recoverytimes tst_retries tst_transportlink)
    amqpqt_test(client ${test} LAYERS base wire engine transport client
        LIBRARIES amqpqt_memorytransport amqpqt_clienttests amqpqt_scriptedpeer)
endforeach()
amqpqt_test(client tst_tlstransport LAYERS transport wire base LIBRARIES amqpqt_scriptedpeer)
amqpqt_test(client tst_clientrobustness TIMEOUT 300 LAYERS base wire engine transport client
    LIBRARIES amqpqt_clientexerciser amqpqt_memorytransport amqpqt_brokersession)
amqpqt_test(client tst_threads THREADS LAYERS base wire engine transport client models LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
amqpqt_test(client tst_secrecy LAYERS base wire engine transport client LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux") # /proc/self and malloc_usable_size()
    amqpqt_test(client tst_footprint LAYERS base wire engine transport client LIBRARIES amqpqt_scriptedpeer
        SOURCES support/heapmeter.cpp)
    amqpqt_test(client tst_recoverymemory LAYERS base wire engine transport client
        LIBRARIES amqpqt_clienttests amqpqt_scriptedpeer SOURCES support/heapmeter.cpp)
    amqpqt_test(client tst_wiping LAYERS base wire engine transport client
        LIBRARIES amqpqt_certificates amqpqt_memorytransport amqpqt_brokersession)
endif()
foreach(test tst_addressparameters tst_connectionparameters tst_credentials tst_parameteragreement tst_tlsparameters
        tst_topologyvalue)
    amqpqt_test(client ${test} LAYERS client transport engine wire base)
endforeach()

add_library(amqpqt_message STATIC EXCLUDE_FROM_ALL # the part of the client layer that needs no engine
    ${PROJECT_SOURCE_DIR}/include/AmqpQt/message.h ${PROJECT_SOURCE_DIR}/src/client/message/fieldtable.cpp
    ${PROJECT_SOURCE_DIR}/src/client/connection/mailbox.cpp
    ${PROJECT_SOURCE_DIR}/src/client/message/message.cpp ${PROJECT_SOURCE_DIR}/src/client/message/messagebody.cpp
    ${PROJECT_SOURCE_DIR}/src/client/message/messageproperties.cpp)
set_target_properties(amqpqt_message PROPERTIES AUTOMOC ON)
target_link_libraries(amqpqt_message PUBLIC amqpqt_wire PRIVATE amqpqt_build_flags)
foreach(test tst_fieldtable tst_message tst_messagebody tst_messageenvelope tst_messageproperties)
    amqpqt_test(client ${test} LIBRARIES amqpqt_message LAYERS wire base)
endforeach()
foreach(test tst_mailbox tst_messagethreads)
    amqpqt_test(client ${test} THREADS LIBRARIES amqpqt_message LAYERS wire base)
endforeach()
