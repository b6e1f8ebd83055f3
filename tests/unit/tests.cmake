# SPDX-License-Identifier: MIT

amqpqt_test(unit tst_codec LAYERS wire values)
amqpqt_test(unit tst_methods LAYERS wire values)
amqpqt_test(unit tst_contentheader LAYERS wire values)
amqpqt_test(unit tst_trace LAYERS wire values)

add_library(amqpqt_message STATIC EXCLUDE_FROM_ALL # the part of the client layer that needs no engine
    ${PROJECT_SOURCE_DIR}/include/AmqpQt/message.h ${PROJECT_SOURCE_DIR}/src/client/fieldtable.cpp
    ${PROJECT_SOURCE_DIR}/src/client/mailbox.cpp
    ${PROJECT_SOURCE_DIR}/src/client/message.cpp ${PROJECT_SOURCE_DIR}/src/client/messagebody.cpp
    ${PROJECT_SOURCE_DIR}/src/client/messageproperties.cpp)
set_target_properties(amqpqt_message PROPERTIES AUTOMOC ON)
target_link_libraries(amqpqt_message PUBLIC amqpqt_wire PRIVATE amqpqt_build_flags)
foreach(test tst_fieldtable tst_message tst_messagebody tst_messageenvelope)
    amqpqt_test(unit ${test} LIBRARIES amqpqt_message LAYERS wire values)
endforeach()
foreach(test tst_mailbox tst_messagethreads)
    amqpqt_test(unit ${test} THREADS LIBRARIES amqpqt_message LAYERS wire values)
endforeach()
amqpqt_test(unit tst_error LAYERS values)
amqpqt_test(unit tst_options LAYERS values)
amqpqt_test(unit tst_reply LAYERS values)
amqpqt_test(unit tst_connectionparameters LAYERS client transport engine wire values)

amqpqt_test(unit tst_layers)
foreach(layer values wire engine transport client models)
    get_target_property(moc_sources amqpqt_${layer} AMQPQT_MOC_FILES)
    if(moc_sources)
        list(APPEND layers_with_moc ${layer})
    endif()
endforeach()
list(JOIN layers_with_moc "," layers_with_moc)
target_compile_definitions(tst_layers PRIVATE AMQPQT_LAYERS_WITH_MOC="${layers_with_moc}")

amqpqt_test(unit tst_docs)
if(TARGET docs) # with qdoc, tests that the reference is complete and its links resolve
    add_test(NAME reference COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target docs)
    set_tests_properties(reference PROPERTIES LABELS unit TIMEOUT 120)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/headers.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/readme.cmake)
