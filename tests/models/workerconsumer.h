// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

#include <QtCore/qthread.h>

#include <memory>

namespace AmqpQt::Test
{

// A started consumer "c1" in a thread of its own, with its connection to a scripted peer.
class WorkerConsumer
{
public:
    explicit WorkerConsumer(ScriptedPeer &peer)
    {
        m_worker.moveToThread(&m_thread);
        m_thread.start();
        call([&] {
            m_client = std::make_unique<OpenClient>(peer);
            m_consumer = m_client->consume({.ackMode = AckMode::NoAck});
        });
    }
    ~WorkerConsumer()
    {
        removeClient();
        m_thread.quit();
        m_thread.wait();
    }
    Q_DISABLE_COPY_MOVE(WorkerConsumer)

    Consumer *consumer() const { return m_consumer; }
    // Deletes the consumer too.
    void removeClient()
    {
        call([this] { m_client.reset(); });
    }
    // Returns when the function has returned in the thread.
    template <typename Function>
    void call(Function function)
    {
        QMetaObject::invokeMethod(&m_worker, function, Qt::BlockingQueuedConnection);
    }

private:
    QThread m_thread;
    QObject m_worker; // the context of calls in the thread
    std::unique_ptr<OpenClient> m_client;
    Consumer *m_consumer = nullptr;
};

} // namespace AmqpQt::Test
