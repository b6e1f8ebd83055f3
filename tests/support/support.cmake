# SPDX-License-Identifier: MIT

# The broker's side of a connection, for tests that link the layers, not the shared library.
add_library(amqpqt_brokersession STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/frames.cpp
    ${CMAKE_CURRENT_LIST_DIR}/clientrules.cpp ${CMAKE_CURRENT_LIST_DIR}/brokersession.cpp)
target_include_directories(amqpqt_brokersession PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_brokersession PUBLIC amqpqt_wire amqpqt_base PRIVATE amqpqt_build_flags)

# The certificates of tools/certificates.
add_library(amqpqt_certificates STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/certificates.cpp)
target_include_directories(amqpqt_certificates PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(amqpqt_certificates PRIVATE AMQPQT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(amqpqt_certificates PUBLIC Qt6::Network PRIVATE amqpqt_build_flags)

# A broker on loopback that a test controls.
add_library(amqpqt_scriptedpeer STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/peerconnection.cpp
    ${CMAKE_CURRENT_LIST_DIR}/scriptedpeer.cpp ${CMAKE_CURRENT_LIST_DIR}/tlsserver.cpp)
target_link_libraries(amqpqt_scriptedpeer PUBLIC amqpqt_brokersession amqpqt_certificates Qt6::Network
    PRIVATE amqpqt_build_flags)

add_library(amqpqt_proxyserver STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/proxyserver.cpp)
target_include_directories(amqpqt_proxyserver PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_proxyserver PUBLIC Qt6::Network PRIVATE amqpqt_build_flags)

# Faults of the network between a client and a broker.
add_library(amqpqt_faultproxy STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/faultproxy.cpp)
target_include_directories(amqpqt_faultproxy PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_faultproxy PUBLIC Qt6::Network PRIVATE amqpqt_build_flags)

# A transport without a socket, for tests of the client layer.
add_library(amqpqt_memorytransport STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/memorytransport.cpp)
target_include_directories(amqpqt_memorytransport PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(amqpqt_memorytransport PUBLIC amqpqt_client PRIVATE amqpqt_build_flags)

# Connections and a broker, both driven by arbitrary bytes.
add_library(amqpqt_clientexerciser STATIC EXCLUDE_FROM_ALL
    ${CMAKE_CURRENT_LIST_DIR}/clientexerciser.cpp ${CMAKE_CURRENT_LIST_DIR}/clientobserver.cpp
    ${CMAKE_CURRENT_LIST_DIR}/fuzzedbroker.cpp)
set_target_properties(amqpqt_clientexerciser PROPERTIES AUTOMOC ON)
target_link_libraries(amqpqt_clientexerciser PUBLIC amqpqt_brokersession amqpqt_memorytransport amqpqt_client
    PRIVATE amqpqt_build_flags)

# A real RabbitMQ, rabbitmqctl and pika.
add_library(amqpqt_brokerfixture STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/brokerfixture.cpp)
target_include_directories(amqpqt_brokerfixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(amqpqt_brokerfixture PRIVATE AMQPQT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(amqpqt_brokerfixture PUBLIC Qt6::Core Qt6::Test PRIVATE amqpqt_build_flags)
