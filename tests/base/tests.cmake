# SPDX-License-Identifier: MIT

amqpqt_test(base tst_error LAYERS base)
amqpqt_test(base tst_options LAYERS base)
amqpqt_test(base tst_reply LAYERS base)
amqpqt_test(base tst_replycoroutine LAYERS base)
amqpqt_test(base tst_replyfuture LAYERS base)
