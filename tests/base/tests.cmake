# SPDX-License-Identifier: MIT

amqpqt_test(base tst_error LAYERS base)
amqpqt_test(base tst_options LAYERS base)
amqpqt_test(base tst_reply LAYERS base)
