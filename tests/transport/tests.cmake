# SPDX-License-Identifier: MIT

amqpqt_test(transport tst_addressrace LAYERS transport base)
