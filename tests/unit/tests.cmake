# SPDX-License-Identifier: MIT

amqpqt_test(unit tst_codec LAYERS wire values)
amqpqt_test(unit tst_methods LAYERS wire values)
amqpqt_test(unit tst_fieldtable LAYERS wire values)
amqpqt_test(unit tst_contentheader LAYERS wire values)
