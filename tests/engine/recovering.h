// SPDX-License-Identifier: MIT
#pragma once

#include "engine/subscribed.h"

// A dialogue whose connection suspends its channels when it is lost.
struct Recovering : Script {
    explicit Recovering(bool holdsChannels = false)
        : Recovering(settingsFor(holdsChannels))
    {
    }
    explicit Recovering(const Engine::Settings &engineSettings)
        : Script(engineSettings)
    {
        open();
        if (engineSettings.holdsChannels)
            engine.gate().release();
        takeEvents();
    }
    static Engine::Settings settingsFor(bool holdsChannels)
    {
        Engine::Settings settings = defaultSettings();
        settings.recovers = true;
        settings.holdsChannels = holdsChannels;
        return settings;
    }

    void lose() { engine.transportClosed(AmqpQt::Error(AmqpQt::ErrorKind::Network, QStringLiteral("reset"))); }
    void loseAndReconnect()
    {
        write();
        lose();
        takeEvents();
        open();
    }
    // The answers to what has been sent; a consumer is answered by its tag.
    Recovering &answerAll()
    {
        for (const Frame &frame : takeSent())
            answer(frame);
        return *this;
    }
    void answer(const Frame &frame)
    {
        if (frame.type != Wire::FrameType::Method)
            return;
        Wire::visitMethod(frame.methodId(), frame.arguments(), [&]<typename Method>(const Method &method) {
            if constexpr (std::is_same_v<Method, Wire::QueueDeclare>) {
                broker(Wire::QueueDeclareOk{.queue = method.queue}, frame.channel);
            } else if constexpr (std::is_same_v<Method, Wire::BasicConsume>) {
                broker(Wire::BasicConsumeOk{.consumerTag = method.consumerTag}, frame.channel);
            } else if constexpr (!std::is_void_v<typename Method::Reply> &&
                                 Method::id.classId != Wire::ConnectionStart::id.classId) {
                broker(typename Method::Reply{}, frame.channel);
            }
        });
    }
    // The sent methods, with the fields that tests look at: {"1 channel.open", "1 basic.consume tag queue"}.
    QStringList sentMethods()
    {
        QStringList methods;
        m_unanswered.clear();
        for (const Frame &frame : takeSent()) {
            if (frame.type != Wire::FrameType::Method)
                continue;
            QString text =
                QString::number(frame.channel) + u' ' + QLatin1StringView(Wire::methodName(frame.methodId()));
            Wire::visitMethod(frame.methodId(), frame.arguments(), [&](const auto &method) {
                if constexpr (requires { method.prefetchCount; })
                    text += u' ' + QString::number(method.prefetchCount) +
                            (method.global ? QStringLiteral(" global") : QString());
                if constexpr (requires { method.consumerTag; })
                    text += u' ' + QString::fromUtf8(method.consumerTag);
                if constexpr (requires { method.queue; })
                    text += u' ' + (method.queue.isEmpty() ? QStringLiteral("-") : QString::fromUtf8(method.queue));
                if constexpr (requires { method.routingKey; })
                    text += u' ' + QString::fromUtf8(method.routingKey);
            });
            methods += text;
            m_unanswered.push_back(frame);
        }
        return methods;
    }
    void answerSent() // the methods that the last call of sentMethods() has returned
    {
        for (const Frame &frame : std::exchange(m_unanswered, {}))
            answer(frame);
    }

    std::shared_ptr<Engine::ConsumerEntry> consume(Engine::ChannelEngine &channel, const QString &tag,
                                                   const QString &queue, std::optional<quint16> prefetch = {})
    {
        AmqpQt::ConsumeOptions options;
        options.consumerTag = tag;
        options.prefetch = prefetch;
        return *channel.subscriptions().consume(queue, options, this);
    }

private:
    std::vector<Frame> m_unanswered;
};
