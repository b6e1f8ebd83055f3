// SPDX-License-Identifier: MIT
#pragma once

#include "support/frames.h"

#include <QtCore/qbytearraylist.h>

#include <map>

// The protocol's rules for a client. A broker closes the channel or the connection when a rule is broken.
class ClientRules
{
public:
    QString check(const Frame &frame); // of the client; returns the violation, or an empty string
    void brokerSent(const Frame &frame);

    // Returns whether the broker has closed the channel, or on channel 0 the connection, and close-ok has not arrived.
    bool awaitsCloseOk(quint16 channel) const;

private:
    enum class State { Closed, Open, CloseSent };
    enum class Expected { Method, Header, Body };
    struct Channel {
        State state = State::Closed;
        Expected expected = Expected::Method;
        quint64 bodyLeft = 0;
        bool brokerClosed = false;    // close-ok from the client is due
        bool transactionEnds = false; // the answer to tx.commit or tx.rollback is due
        QByteArrayList consumerTags;  // in use until a cancel of the client, or its answer to one of the broker
    };
    QString checkContent(Channel &channel, const Frame &frame);
    QString checkMethod(Channel &channel, const Frame &frame);
    QString checkConnectionMethod(const Frame &frame);
    static QString checkArguments(const Frame &frame);
    static QString checkConsumerMethod(Channel &channel, const Frame &frame);

    std::map<quint16, Channel> m_channels;
    quint32 m_frameMax = AmqpQt::Wire::SpecFrameMinimum; // until tune-ok
    quint16 m_channelMax = 0xffff;
    quint32 m_offeredFrameMax = 0; // 0 for no limit, as in the next member
    quint16 m_offeredChannelMax = 0;
    bool m_closeSent = false;
    bool m_brokerClosed = false; // close-ok from the client is due
};
