// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/recoveringclient.h"

namespace AmqpQt::Test
{

// A test of a connection that loses its broker, with another connection beside it; both are new for each test function.
class RecoveryTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<RecoveringClient>();
        QVERIFY(m_client->open());
        m_other = std::make_unique<BrokerClient>();
        QVERIFY(m_other->isOpen());
    }
    void cleanup()
    {
        m_client.reset();
        m_other.reset();
    }

protected:
    std::unique_ptr<RecoveringClient> m_client;
    std::unique_ptr<BrokerClient> m_other; // not through the proxy
};

} // namespace AmqpQt::Test
