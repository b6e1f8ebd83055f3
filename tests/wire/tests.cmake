# SPDX-License-Identifier: MIT

amqpqt_test(wire tst_codec LAYERS wire base)
amqpqt_test(wire tst_methods LAYERS wire base)
amqpqt_test(wire tst_contentheader LAYERS wire base)
amqpqt_test(wire tst_trace LAYERS wire base)
