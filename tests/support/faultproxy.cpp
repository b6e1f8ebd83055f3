// SPDX-License-Identifier: MIT
#include "support/faultproxy.h"

#include <QtCore/qtimer.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qtcpsocket.h>

#include <algorithm>
#include <array>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

using namespace std::chrono_literals;
using Kind = NetworkFault::Kind;
using Direction = NetworkFault::Direction;

namespace
{

constexpr qint64 Window = 64 * 1024; // buffered in each direction

bool lasts(Kind kind)
{
    return kind != Kind::None && kind != Kind::Reset && kind != Kind::Finish;
}

void reset(QTcpSocket *socket)
{
    if (socket->state() == QTcpSocket::ConnectedState)
        socket->flush();
    const linger atOnce{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(int(socket->socketDescriptor()), SOL_SOCKET, SO_LINGER, &atOnce, sizeof(atOnce));
    socket->abort();
}

// Sends FIN behind everything written so far. The socket goes on receiving, because closing it could send RST.
void finish(QTcpSocket *socket)
{
    if (socket->state() != QTcpSocket::ConnectedState) {
        socket->abort();
        return;
    }
    const auto shutDown = [socket] {
        if (socket->bytesToWrite() == 0)
            ::shutdown(int(socket->socketDescriptor()), SHUT_WR);
    };
    QObject::connect(socket, &QTcpSocket::bytesWritten, socket, shutDown);
    socket->flush();
    shutDown();
}

// Whether the peer has sent FIN or RST, even if there is unread data before it, which hides the end from QTcpSocket.
bool hasPeerEnded(const QTcpSocket *socket)
{
    pollfd state{.fd = int(socket->socketDescriptor()), .events = POLLRDHUP, .revents = 0};
    return ::poll(&state, 1, 0) > 0 && state.revents != 0;
}

} // namespace

// One connection through the proxy.
class FaultProxy::Link : public QObject
{
public:
    Link(QTcpSocket *client, const NetworkFault &fault, FaultProxy *proxy);
    ~Link() override;

    void strike(const NetworkFault &fault);

private:
    struct Flow {
        QTcpSocket *from = nullptr;
        QTcpSocket *to = nullptr;
        qint64 passed = 0;
        qint64 underWay = 0;  // bytes that a delay holds
        qint64 allowance = 0; // bytes that a throttle lets pass
    };

    Flow &flow(Direction direction) { return m_flows[size_t(direction)]; }
    bool hasFault(Kind kind) const { return m_hasBegun && m_fault.kind == kind; }
    void listenTo(Direction direction);
    void pass(Direction direction);
    qint64 room(Direction direction);
    void send(Direction direction, const QByteArray &bytes);
    void begin();
    void end(Direction direction);
    void resetBoth();
    void refill();
    void leave();

    FaultProxy *const m_proxy;
    NetworkFault m_fault;
    std::array<Flow, 2> m_flows;
    QTimer m_clock; // of a throttle or a stall
    bool m_hasBegun = false;
    bool m_isOver = false; // nothing is passed on any more
    bool m_isCounted = true;
};

FaultProxy::FaultProxy(quint16 brokerPort, QObject *parent)
    : QTcpServer(parent)
    , m_brokerPort(brokerPort)
{
    if (!listen(QHostAddress::LocalHost))
        qFatal("the proxy cannot listen: %s", qPrintable(errorString()));
    connect(this, &QTcpServer::newConnection, this, [this] {
        while (QTcpSocket *client = nextPendingConnection()) {
            const int number = ++m_accepted;
            new Link(client, m_choose ? m_choose(number) : NetworkFault(), this);
        }
    });
}

FaultProxy::~FaultProxy()
{
    qDeleteAll(QList<Link *>(m_links));
}

void FaultProxy::strike(const NetworkFault &fault)
{
    const QList<Link *> links = m_links;
    for (Link *link : links)
        link->strike(fault);
}

FaultProxy::Link::Link(QTcpSocket *client, const NetworkFault &fault, FaultProxy *proxy)
    : QObject(proxy)
    , m_proxy(proxy)
    , m_fault(fault)
{
    ++m_proxy->m_open;
    m_proxy->m_links += this;
    client->setParent(this);
    auto *broker = new QTcpSocket(this);
    broker->setProxy(QNetworkProxy::NoProxy);
    flow(Direction::ToBroker) = {client, broker};
    flow(Direction::ToClient) = {broker, client};
    connect(&m_clock, &QTimer::timeout, this, &Link::refill);
    connect(broker, &QTcpSocket::errorOccurred, this, [this](QTcpSocket::SocketError error) {
        if (error != QTcpSocket::RemoteHostClosedError)
            resetBoth(); // the broker cannot be reached, for example
    });
    connect(broker, &QTcpSocket::connected, this, [this] { pass(Direction::ToBroker); });
    listenTo(Direction::ToBroker);
    listenTo(Direction::ToClient);
    broker->connectToHost(QHostAddress::LocalHost, m_proxy->m_brokerPort);
    if (m_fault.kind != Kind::None && m_fault.afterBytes == 0)
        QMetaObject::invokeMethod(this, &Link::begin, Qt::QueuedConnection);
}

FaultProxy::Link::~Link()
{
    for (const Flow &one : m_flows)
        one.from->disconnect(this);
    leave();
    m_proxy->m_links.removeOne(this);
}

void FaultProxy::Link::leave()
{
    if (std::exchange(m_isCounted, false))
        --m_proxy->m_open;
}

void FaultProxy::Link::listenTo(Direction direction)
{
    const Flow &listened = flow(direction);
    listened.from->setReadBufferSize(Window);
    connect(listened.from, &QTcpSocket::readyRead, this, [this, direction] { pass(direction); });
    connect(listened.from, &QTcpSocket::disconnected, this, [this, direction] { end(direction); });
    connect(listened.to, &QTcpSocket::bytesWritten, this, [this, direction] { pass(direction); });
}

void FaultProxy::Link::strike(const NetworkFault &fault)
{
    m_fault = fault;
    m_hasBegun = false;
    m_clock.stop();
    if (m_isOver)
        return;
    if (m_fault.kind != Kind::None)
        begin();
    pass(Direction::ToBroker);
    pass(Direction::ToClient);
}

void FaultProxy::Link::pass(Direction direction)
{
    Flow &passing = flow(direction);
    if (flow(Direction::ToClient).from->state() == QTcpSocket::ConnectingState)
        return; // what the client sends waits
    while (!m_isOver && !hasFault(Kind::BlackHole)) {
        const QByteArray bytes = passing.from->read(room(direction));
        if (bytes.isEmpty())
            return;
        passing.passed += bytes.size();
        passing.allowance -= bytes.size();
        send(direction, bytes);
        if (!m_hasBegun && m_fault.kind != Kind::None && direction == m_fault.direction &&
            passing.passed >= m_fault.afterBytes)
            begin();
    }
    if (passing.from->isOpen())
        passing.from->readAll();
}

// Returns the number of bytes that may pass now.
qint64 FaultProxy::Link::room(Direction direction)
{
    const Flow &passing = flow(direction);
    qint64 bytes = std::max<qint64>(Window - passing.to->bytesToWrite() - passing.underWay, 0);
    if (!m_hasBegun && m_fault.kind != Kind::None && direction == m_fault.direction)
        bytes = std::min(bytes, m_fault.afterBytes - passing.passed);
    if (hasFault(Kind::Stall) && direction == m_fault.direction)
        bytes = 0;
    if (hasFault(Kind::Throttle))
        bytes = std::min(bytes, passing.allowance);
    return bytes;
}

void FaultProxy::Link::send(Direction direction, const QByteArray &bytes)
{
    if (!hasFault(Kind::Delay)) {
        flow(direction).to->write(bytes);
        return;
    }
    flow(direction).underWay += bytes.size();
    // Timers of one interval end in the order in which they were started.
    QTimer::singleShot(m_fault.delay, Qt::PreciseTimer, this, [this, direction, bytes] {
        flow(direction).underWay -= bytes.size();
        if (!m_isOver)
            flow(direction).to->write(bytes);
        pass(direction);
    });
}

void FaultProxy::Link::begin()
{
    if (m_hasBegun || m_isOver)
        return;
    m_hasBegun = true;
    ++m_proxy->m_faults;
    if (m_fault.kind == Kind::Reset) {
        resetBoth();
    } else if (m_fault.kind == Kind::Finish) {
        m_isOver = true;
        for (const Flow &one : m_flows) {
            one.from->readAll();
            finish(one.from);
        }
    } else if (m_fault.kind == Kind::Throttle || m_fault.kind == Kind::Stall) {
        for (Flow &one : m_flows)
            one.allowance = 0;
        m_clock.start(20ms);
    }
    if (lasts(m_fault.kind) && m_fault.resetAfter > 0ms)
        QTimer::singleShot(m_fault.resetAfter, this, &Link::resetBoth);
}

void FaultProxy::Link::refill()
{
    if (m_fault.kind == Kind::Stall) {
        if (hasPeerEnded(flow(Direction::ToBroker).from))
            resetBoth();
        return;
    }
    const qint64 share = std::max<qint64>(m_fault.bytesPerSecond * m_clock.interval() / 1000, 1);
    for (const Direction direction : {Direction::ToBroker, Direction::ToClient}) {
        flow(direction).allowance = std::min(flow(direction).allowance + share, share * 10);
        pass(direction);
    }
}

// The sender of this direction has ended the connection.
void FaultProxy::Link::end(Direction direction)
{
    const Flow &ended = flow(direction);
    if (direction == Direction::ToBroker)
        leave();
    if (m_isOver || (direction == Direction::ToBroker && m_hasBegun)) {
        resetBoth();
        return;
    }
    if (hasFault(Kind::BlackHole) || (hasFault(Kind::Stall) && direction == m_fault.direction))
        return;
    const auto last = [this, to = ended.to, bytes = ended.from->readAll()] {
        if (m_isOver)
            return;
        m_isOver = true;
        to->write(bytes);
        finish(to);
    };
    if (hasFault(Kind::Delay))
        QTimer::singleShot(m_fault.delay, Qt::PreciseTimer, this, last);
    else
        last();
}

void FaultProxy::Link::resetBoth()
{
    m_isOver = true;
    m_clock.stop();
    leave();
    for (const Flow &one : m_flows) {
        one.from->disconnect(this);
        if (one.from->state() != QTcpSocket::UnconnectedState)
            reset(one.from);
    }
    deleteLater();
}
