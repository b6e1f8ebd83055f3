# SPDX-License-Identifier: MIT

amqpqt_test(unit tst_codec LAYERS wire values)
amqpqt_test(unit tst_methods LAYERS wire values)
amqpqt_test(unit tst_fieldtable LAYERS wire values)
amqpqt_test(unit tst_contentheader LAYERS wire values)
amqpqt_test(unit tst_trace LAYERS wire values)

set(message_sources mailbox message messagebody messageproperties)
list(TRANSFORM message_sources REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/src/client/\\1.cpp")
list(APPEND message_sources ${PROJECT_SOURCE_DIR}/include/AmqpQt/message.h)
amqpqt_test(unit tst_mailbox SOURCES ${message_sources} LAYERS wire values)
amqpqt_test(unit tst_message SOURCES ${message_sources} LAYERS wire values)
amqpqt_test(unit tst_messagebody SOURCES ${message_sources} LAYERS wire values)
amqpqt_test(unit tst_messageenvelope SOURCES ${message_sources} LAYERS wire values)
amqpqt_test(unit tst_messagethreads SOURCES ${message_sources} LAYERS wire values)
amqpqt_test(unit tst_error LAYERS values)
amqpqt_test(unit tst_options LAYERS values)
amqpqt_test(unit tst_reply LAYERS values)
