# SPDX-License-Identifier: MIT

amqpqt_test(broker tst_brokerfixture LIBRARIES amqpqt_brokerfixture)
