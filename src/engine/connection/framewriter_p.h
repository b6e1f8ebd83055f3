// SPDX-License-Identifier: MIT
#pragma once

#include "base/logging_p.h"
#include "engine/buffers/outputbuffer_p.h"
#include "engine/buffers/publishtemplate_p.h"
#include "engine/connection/framelog_p.h"
#include "wire/methods_p.h"

#include <QtCore/qloggingcategory.h>

#include <algorithm>

namespace AmqpQt::Engine
{

// Writes methods and contents as frames to the output buffer of the connection.
class FrameWriter
{
public:
    void start(); // for a new connection; drops everything and begins with the protocol header
    void setMaximumFrameSize(quint32 frameMax) noexcept; // 0 means no limit
    qsizetype maximumPayload() const noexcept { return m_maximumPayload; }

    template <typename Method>
    void send(quint16 channel, const Method &method)
    {
        const qsizetype size = Wire::payloadSize(method);
        char *at = m_output.append(size + Wire::FrameOverhead);
        char *end =
            Wire::writePayload(Wire::writeFrameHeader(at, Wire::FrameType::Method, channel, quint32(size)), method);
        *end = char(Wire::FrameEnd);
        ++m_frameCount;
        logMethod("sent", channel, QByteArrayView(at + Wire::FrameHeaderSize, size));
    }
    template <typename Method>
    void sendSecret(quint16 channel, const Method &method) // wiped once it is written or dropped
    {
        send(channel, method);
        m_output.markSecret();
    }
    void sendMethod(quint16 channel, QByteArrayView payload);
    void sendContent(quint16 channel, const PublishTemplate &frames, const QByteArray &body)
    {
        if (size_t(body.size()) - 1 >= m_copiedBodyLimit || m_frameLog.isDebugEnabled()) // also for an empty body
            return sendAnyContent(channel, frames, body);
        m_frameCount += 3;
        frames.write(m_output.append(frames.size(body)), body);
    }
    void sendHeartbeat();

    bool isLogged() const noexcept { return m_frameLog.isDebugEnabled(); } // each method is described in the log
    OutputBuffer &output() noexcept { return m_output; }
    const OutputBuffer &output() const noexcept { return m_output; }
    qint64 frameCount() const noexcept { return m_frameCount; } // since start()

private:
    static constexpr quint32 UnlimitedFrameSize = 131072; // used when neither side has set a limit

    void sendAnyContent(quint16 channel, const PublishTemplate &frames, const QByteArray &body);

    const QLoggingCategory &m_frameLog = lcFrame();
    OutputBuffer m_output;
    qint64 m_frameCount = 0;
    qsizetype m_maximumPayload = UnlimitedFrameSize - Wire::FrameOverhead;
    size_t m_copiedBodyLimit =
        OutputBuffer::ShareThreshold - 1; // bodies up to this size are copied and sent in one frame
};

} // namespace AmqpQt::Engine
