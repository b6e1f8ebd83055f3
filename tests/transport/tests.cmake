# SPDX-License-Identifier: MIT

amqpqt_test(transport tst_addressrace LAYERS transport base)
amqpqt_test(transport tst_devicetransport SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/support/memorydevice.h
    LAYERS transport base)
