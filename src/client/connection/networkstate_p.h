// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qobject.h>

#include <memory>

namespace AmqpQt
{

// Whether this machine has a network, as far as the platform knows. That knowledge may be missing or wrong.
class NetworkState : public QObject
{
    Q_OBJECT
public:
    using QObject::QObject;

    // Uses QNetworkInformation. Without a backend of it, there always seems to be a network.
    static std::unique_ptr<NetworkState> ofSystem();

    virtual bool isOffline() const = 0;

Q_SIGNALS:
    void changed(); // isOffline(), or the kind of network
};

} // namespace AmqpQt
