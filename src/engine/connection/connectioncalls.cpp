// SPDX-License-Identifier: MIT
#include "engine/connection/connectioncalls_p.h"

#include "engine/arguments/arguments_p.h"
#include "engine/connection/channelhost_p.h"

#include <utility>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

Result<CallId> ConnectionCalls::updateSecret(QByteArrayView newSecret, const QString &reason)
{
    using Method = Wire::ConnectionUpdateSecret;
    if (!m_host.gate().isConnectionOpen() || m_isClosing)
        return Error(ErrorKind::NotOpen,
                     m_host.gate().isConnectionOpen() ? u"the connection is closing"_s
                                                      : u"the connection is not open"_s,
                     0, QLatin1StringView(Method::name));
    Arguments arguments;
    const QByteArray reasonText = arguments.shortString("reason", reason);
    if (arguments.areInvalid())
        return arguments.error();
    const Method method{.newSecret = newSecret, .reason = QByteArrayView(reasonText)};
    FrameWriter &frames = m_host.frames();
    if (const qsizetype size = Wire::payloadSize(method); size > frames.maximumPayload())
        return Error(
            ErrorKind::InvalidArgument,
            u"newSecret: the method needs %1 bytes; the maximum of a frame on this connection is %2 bytes"_s.arg(size)
                .arg(frames.maximumPayload()),
            0, QLatin1StringView(Method::name));
    const CallId id = m_sent.emplace_back(m_host.calls().nextId());
    frames.sendSecret(0, method);
    m_host.callSent({.id = id, .owner = nullptr, .method = Method::name});
    return id;
}

void ConnectionCalls::onUpdateSecretOk()
{
    if (m_sent.isEmpty())
        return m_host.reportUnexpected(Wire::ConnectionUpdateSecretOk::name);
    const CallId id = m_sent.takeFirst();
    m_host.calls().ended(id);
    m_host.post(ReplyArrived{id, {}, nullptr});
}

void ConnectionCalls::end(const Error &callError)
{
    for (const CallId call : std::exchange(m_sent, {}))
        m_host.post(ReplyArrived{call, callError, nullptr});
}

} // namespace AmqpQt::Engine
