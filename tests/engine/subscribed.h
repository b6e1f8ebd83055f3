// SPDX-License-Identifier: MIT
#pragma once

#include "support/script.h"

// A body in which neighbouring pieces differ.
inline QByteArray pattern(qsizetype size)
{
    QByteArray bytes(size, Qt::Uninitialized);
    for (qsizetype i = 0; i < size; ++i)
        bytes[i] = char(i * 7 + i / 251);
    return bytes;
}

// A dialogue in which the first channel has the consumer "tag".
struct Subscribed : Script {
    explicit Subscribed(const Engine::Settings &usedSettings = defaultSettings(), const Offer &offer = {})
        : Script(usedSettings)
    {
        open(offer);
        channel = &openChannel();
        consumer = subscribe(*channel, QStringLiteral("tag"));
    }
    Engine::ChannelEngine *channel = nullptr;
    std::shared_ptr<Engine::ConsumerEntry> consumer;
};
