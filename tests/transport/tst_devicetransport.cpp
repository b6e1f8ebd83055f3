// SPDX-License-Identifier: MIT
#include "support/memorydevice.h"
#include "transport/devicetransport_p.h"

#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

namespace
{

using Writing = MemoryDevice::Writing;

// A transport on one of two devices; the test has the other one.
class Transported
{
public:
    explicit Transported(Writing writing = Writing::Buffers, qint64 room = 1000)
        : Transported(MemoryDevice::pair(writing, room))
    {
    }
    [[nodiscard]] bool isReady()
    {
        transport->connectTo({});
        return QTest::qWaitFor([this] { return transport->isReady(); });
    }
    void write(const QByteArray &bytes) { QCOMPARE(transport->write(bytes.constData(), bytes.size()), bytes.size()); }
    // Reads what the other device gets, until it has so many bytes.
    QByteArray arrived(qsizetype size)
    {
        QByteArray bytes;
        (void)QTest::qWaitFor([&] {
            bytes += other->readAll();
            return bytes.size() >= size;
        });
        return bytes;
    }
    QByteArray read()
    {
        char buffer[100];
        const qint64 size = transport->read(buffer, sizeof buffer);
        return size < 0 ? QByteArray("end") : QByteArray(buffer, size);
    }

private:
    explicit Transported(std::pair<std::unique_ptr<MemoryDevice>, std::unique_ptr<MemoryDevice>> ends)
        : device(ends.first.get())
        , other(std::move(ends.second))
        , transport(std::make_unique<DeviceTransport>(std::move(ends.first)))
    {
    }

public:
    QPointer<MemoryDevice> device;
    std::unique_ptr<MemoryDevice> other;
    std::unique_ptr<DeviceTransport> transport;
};

// A device that has nothing to read, and does not say so by -1 either.
class SilentDevice final : public QIODevice
{
public:
    SilentDevice() { open(ReadWrite); }
    bool isSequential() const override { return true; }

protected:
    qint64 readData(char *, qint64) override { return 0; }
    qint64 writeData(const char *, qint64 size) override { return size; }
};

QByteArray numbered(qsizetype size)
{
    QByteArray bytes;
    for (int i = 0; bytes.size() < size; ++i)
        bytes += QByteArray::number(i) + ' ';
    return bytes.first(size);
}

} // namespace

// A device of the application as a transport.
class tst_DeviceTransport : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void bytesThatCameEarlierAreReported();
    void endIsNoticedWithoutAnErrorOfRead();
    void bytesArriveInOrder_data();
    void bytesArriveInOrder();
    void deviceWithoutRoomIsTriedAgain();
    void bytesThatTheDeviceDoesNotTakeAreCounted();
    void errorOfALaterWriteIsReported();
    void closeWritesEverythingFirst_data();
    void closeWritesEverythingFirst();
    void endOfTheDeviceEndsClosing();
    void abortClosesTheDevice();
    void slotOfTheDeviceMayDeleteTheTransport();
};

void tst_DeviceTransport::bytesThatCameEarlierAreReported()
{
    Transported on;
    QSignalSpy ready(on.transport.get(), &Transport::ready);
    QSignalSpy readable(on.transport.get(), &Transport::readable);
    on.other->write("HTTP");
    QTRY_COMPARE(on.device->bytesAvailable(), 4);
    QCoreApplication::processEvents();
    readable.clear(); // the signals of the device are over
    QVERIFY(on.isReady());
    QTRY_COMPARE(readable.size(), 1);
    QCOMPARE(ready.size(), 1);
    QCOMPARE(on.read(), "HTTP");
    QCOMPARE(on.read(), "");
}

void tst_DeviceTransport::endIsNoticedWithoutAnErrorOfRead()
{
    auto device = std::make_unique<SilentDevice>();
    QIODevice *const silent = device.get();
    DeviceTransport transport(std::move(device));
    transport.connectTo({});
    QTRY_VERIFY(transport.isReady());
    char byte = 0;
    QCOMPARE(transport.read(&byte, 1), 0);
    QSignalSpy readable(&transport, &Transport::readable);
    Q_EMIT silent->readChannelFinished();
    QCOMPARE(readable.size(), 1);
    QCOMPARE(transport.read(&byte, 1), -1);
    QCOMPARE(transport.error(), Error(ErrorKind::Network, u"QIODevice: the stream has ended"_s));
}

void tst_DeviceTransport::bytesArriveInOrder_data()
{
    QTest::addColumn<Writing>("writing");
    QTest::newRow("buffers everything") << Writing::Buffers;
    QTest::newRow("takes a part") << Writing::Partial;
    QTest::newRow("takes little, and signals from within write()") << Writing::SmallSignallingAtOnce;
}

void tst_DeviceTransport::bytesArriveInOrder()
{
    QFETCH(const Writing, writing);
    Transported on(writing, 1000);
    QVERIFY(on.isReady());
    const QByteArray bytes = numbered(10'000);
    on.write(bytes.first(4000));
    QByteArray arrived = on.other->readAll(); // there is room again, but the bytes that are held come first
    on.write(bytes.sliced(4000, 3000));
    QVERIFY(QTest::qWaitFor([&] { // at first there is no room
        arrived += on.other->readAll();
        return arrived.size() == 7000;
    }));
    qint64 written = 0;
    while (written < 3000) {
        const QByteArray rest = bytes.sliced(7000 + written);
        const QByteArrayView view(rest);
        const qint64 taken = on.transport->writeSome({&view, 1});
        QVERIFY(taken >= 0);
        written += taken;
        arrived += on.other->readAll();
    }
    arrived += on.arrived(bytes.size() - arrived.size());
    QCOMPARE(arrived, bytes);
    QCOMPARE(on.transport->bytesToWrite(), 0);
}

void tst_DeviceTransport::deviceWithoutRoomIsTriedAgain()
{
    Transported on(Writing::Partial);
    QVERIFY(on.isReady());
    on.other->setReading(false);
    QSignalSpy written(on.transport.get(), &Transport::written);
    on.write("AMQP");
    QCOMPARE(on.other->bytesAvailable(), 0);
    on.other->setReading(true); // does not signal
    QCOMPARE(on.arrived(4), "AMQP");
    QTRY_VERIFY(!written.isEmpty());
}

void tst_DeviceTransport::bytesThatTheDeviceDoesNotTakeAreCounted()
{
    Transported on(Writing::Partial, 1000);
    QVERIFY(on.isReady());
    on.write(QByteArray(4000, 'x'));
    QCOMPARE(on.transport->bytesToWrite(), 3000);
    Transported buffered(Writing::Buffers, 1000);
    QVERIFY(buffered.isReady());
    buffered.write(QByteArray(4000, 'x'));
    QCOMPARE(buffered.transport->bytesToWrite(), 3000);
}

void tst_DeviceTransport::errorOfALaterWriteIsReported()
{
    Transported on(Writing::Partial);
    QVERIFY(on.isReady());
    on.other->setReading(false);
    on.write("AMQP");
    QSignalSpy failed(on.transport.get(), &Transport::failed);
    on.device->failWrites();
    QTRY_COMPARE(failed.size(), 1);
    const Error error(ErrorKind::Network, u"MemoryDevice: broken pipe"_s);
    QCOMPARE(failed.first().first().value<Error>(), error);
    QCOMPARE(on.transport->error(), error);
}

void tst_DeviceTransport::closeWritesEverythingFirst_data()
{
    bytesArriveInOrder_data();
}

void tst_DeviceTransport::closeWritesEverythingFirst()
{
    QFETCH(const Writing, writing);
    Transported on(writing);
    QVERIFY(on.isReady());
    QSignalSpy finished(on.transport.get(), &Transport::finished);
    const QByteArray bytes = numbered(5000);
    on.write(bytes);
    on.transport->close();
    QCoreApplication::processEvents();
    QCOMPARE(finished.size(), 0);
    QVERIFY(on.device->isOpen());
    QCOMPARE(on.arrived(bytes.size()), bytes);
    QTRY_COMPARE(finished.size(), 1);
    QVERIFY(!on.device->isOpen());
}

void tst_DeviceTransport::endOfTheDeviceEndsClosing()
{
    Transported on;
    QVERIFY(on.isReady());
    QSignalSpy finished(on.transport.get(), &Transport::finished);
    on.write(QByteArray(5000, 'x')); // more than the other end takes
    on.transport->close();
    on.other->hangUp();
    QTRY_COMPARE(finished.size(), 1);
    QVERIFY(!on.device->isOpen());
}

void tst_DeviceTransport::abortClosesTheDevice()
{
    Transported on;
    QVERIFY(on.isReady());
    on.transport->abort();
    QVERIFY(!on.device->isOpen());
    QVERIFY(!on.transport->isReady());
}

// The device is emitting a signal when it has to be deleted.
void tst_DeviceTransport::slotOfTheDeviceMayDeleteTheTransport()
{
    Transported on;
    QVERIFY(on.isReady());
    bool existsInTheSlot = false;
    connect(on.device, &QIODevice::readyRead, this, [&] {
        on.transport.reset();
        existsInTheSlot = !on.device.isNull();
    });
    on.other->write("x");
    QTRY_VERIFY(!on.transport);
    QVERIFY(existsInTheSlot);
    QTRY_VERIFY(!on.device);
}

QTEST_GUILESS_MAIN(tst_DeviceTransport)
#include "tst_devicetransport.moc"
