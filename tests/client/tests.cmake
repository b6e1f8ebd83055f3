# SPDX-License-Identifier: MIT

amqpqt_test(client tst_scriptedpeer LAYERS wire values LIBRARIES amqpqt_scriptedpeer)
