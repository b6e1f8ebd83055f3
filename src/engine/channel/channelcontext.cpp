// SPDX-License-Identifier: MIT
#include "engine/channel/channelcontext_p.h"

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

ChannelContext::ChannelContext(ChannelHost &host, quint16 number) noexcept
    : m_host(host)
    , m_number(number)
{
}

void ChannelContext::setState(State state)
{
    using enum State;
    const auto isLegal = [](State from, State to) {
        switch (from) {
        case Closed:
            return to == Opening;
        case Opening:
            return to == Open || to == Closing || to == Closed;
        case Open:
            return to == Flowed || to == Closing || to == Closed || to == Opening;
        case Flowed:
            return to == Open || to == Closing || to == Closed || to == Opening;
        case Closing:
            return to == Closed;
        }
        return false;
    };
    Q_ASSERT(isLegal(m_state, state));
    m_state = state;
}

Error ChannelContext::notOpen(const char *method) const
{
    return Error(ErrorKind::NotOpen,
                 m_state == State::Closing ? u"channel %1 is closing"_s.arg(m_number)
                                           : u"channel %1 is closed"_s.arg(m_number),
                 0, QString::fromLatin1(method));
}

Error ChannelContext::checkSize(qsizetype payload, const char *method) const
{
    if (payload <= m_host.frames().maximumPayload())
        return {};
    return Error(
        ErrorKind::InvalidArgument,
        u"arguments: the method needs %1 bytes; the maximum of a frame on this connection is %2 bytes"_s.arg(payload)
            .arg(m_host.frames().maximumPayload()),
        0, QString::fromLatin1(method));
}

void ChannelContext::reportViolation(quint16 replyCode, const QString &text) const
{
    if (!m_isCloseSent)
        m_host.reportViolation(replyCode, text);
}

void ChannelContext::reportUnexpected(const char *method) const
{
    if (!m_isCloseSent)
        m_host.reportUnexpected(method);
}

void ChannelContext::finish(CallId id, ReplyValue value)
{
    m_host.calls().ended(id);
    if (TopologyRecord *record = m_host.recordedTopology())
        record->finished(id, value);
    Restoration *const restoration = m_host.gate().restoration();
    const Error *const failure = std::get_if<Error>(&value);
    const Error reason = restoration && failure ? *failure : Error();
    m_host.post(ReplyArrived{id, std::move(value), shared_from_this().get()});
    if (restoration)
        restoration->consumerEnded(id, reason);
}

} // namespace AmqpQt::Engine
