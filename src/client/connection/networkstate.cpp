// SPDX-License-Identifier: MIT
#include "client/connection/networkstate_p.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qthread.h>
#include <QtNetwork/qnetworkinformation.h>

namespace AmqpQt
{

namespace
{

using Reachability = QNetworkInformation::Reachability;

class SystemNetworkState final : public NetworkState
{
public:
    SystemNetworkState()
    {
        // QNetworkInformation belongs to the main thread. Elsewhere only its signals are used.
        const QCoreApplication *application = QCoreApplication::instance();
        const bool isMainThread = application && application->thread() == QThread::currentThread();
        if (isMainThread && !QNetworkInformation::instance())
            QNetworkInformation::loadBackendByFeatures(QNetworkInformation::Feature::Reachability);
        const QNetworkInformation *information = QNetworkInformation::instance();
        if (!information)
            return;
        if (isMainThread)
            m_reachability = information->reachability();
        connect(information, &QNetworkInformation::reachabilityChanged, this, [this](Reachability reachability) {
            m_reachability = reachability;
            Q_EMIT changed();
        });
    }

    bool isOffline() const override { return m_reachability == Reachability::Disconnected; }

private:
    Reachability m_reachability = Reachability::Unknown;
};

} // namespace

std::unique_ptr<NetworkState> NetworkState::ofSystem()
{
    return std::make_unique<SystemNetworkState>();
}

} // namespace AmqpQt
